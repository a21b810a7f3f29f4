"""Writing whole b-trees of sorted rows straight into the pages of a private copy (https://www.sqlite.org/fileformat2.html)."""
