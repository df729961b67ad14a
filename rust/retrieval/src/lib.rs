//! A question to ranked passages: lexical, dense, fusion, filters.
