//! One cancel token, shared by everything that runs long.
