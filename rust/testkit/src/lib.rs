//! Development only: a tiny seeded model, tiny packs, a fault-injecting writer.
