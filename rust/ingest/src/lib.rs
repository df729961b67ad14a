//! Documents to normalised, split passages with their source ranges.
