//! Every supported operator by itself.
