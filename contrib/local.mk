# Examples and set-up scripts; the tests use them as they stand.
