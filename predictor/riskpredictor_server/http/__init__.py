"""uvicorn's HTTP/1.1 server and connections, with the limits and checks that they lack."""
