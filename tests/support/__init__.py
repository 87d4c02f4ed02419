"""What the tests stand on: a server for one test, and a client whose every byte they decide about."""
