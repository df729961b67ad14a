//! Measures: retrieval, citations, latency, memory.
