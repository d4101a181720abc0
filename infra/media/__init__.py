"""The only decoder and encoder of pictures and videos."""
