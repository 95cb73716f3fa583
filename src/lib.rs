//! Decides in which order a package manager tries its mirrors.
mod mirror;
mod rank;
