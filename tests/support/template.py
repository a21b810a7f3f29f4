"""template.yaml as plain data: what the tests of the template share."""

from deploy.aws.template import ROOT, attribute_of, listed, load_template, resources

__all__ = ["ROOT", "attribute_of", "listed", "load_template", "resources"]
