//! `decide` with its reasons kept.
