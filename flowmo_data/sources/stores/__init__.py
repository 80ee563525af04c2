"""Object stores and web servers, through fsspec: their objects, the bytes of these, and what goes wrong."""
