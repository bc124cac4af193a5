"""A general delta-ADS server: bytes and names, nothing of meshes.

resources  what is sent: named, versioned, encoded once
requests   what clients say, and what of it is news
session    one client's stream without I/O (subscription, dependencies, state, receiving and sending are its parts)
server     many such streams over gRPC and mutual TLS
"""
