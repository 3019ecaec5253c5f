"""The played model inside other servers: one file a server, run there and never imported by Batchlab itself."""
