"""Reading the rows of a table straight from the pages of a file, as arrays (https://www.sqlite.org/fileformat2.html)."""
