//! Typed bindings from the committed artifacts.
