"""Who answers a request for captions or queries: `measured` reads them off the pixels."""
