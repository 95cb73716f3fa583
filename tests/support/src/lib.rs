//! Code that several tests share: building with Cargo, servers on loopback, acting as another user,
//! the system's programs, packages, and librepo and dnf as users of this library.

pub mod bench_mode;
pub mod build;
pub mod dnf;
pub mod downloads;
pub mod dropin_directory;
pub mod files;
pub mod help;
pub mod librepo_calls;
pub mod librepo_source;
pub mod mirror_manager;
pub mod overlay;
pub mod packages;
pub mod programs;
pub mod servers;
pub mod terminal;
pub mod users;
