"""The ground: recipe, store, media, the stage engine, tables, errors, the sample world."""
