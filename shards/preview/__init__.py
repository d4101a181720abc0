"""The preview of a release: one HTML file to look at, that needs no server and asks nobody for anything."""
