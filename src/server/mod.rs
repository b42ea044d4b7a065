//! The HTTP server: router, layers, accept loop, shutdown.
