//! Mistakes and unsupported operators are named with their place.
