"""A UVRB evaluation as one HTML file to look at, that needs no server and asks nobody for anything."""
