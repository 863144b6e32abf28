"""HTTP/1.1: uvicorn's server and connections, with the limits and checks that they lack."""
