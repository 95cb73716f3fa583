//! What several tests share: what Cargo has to build for them, servers, other users, the system's own programs, and librepo and
//! dnf as programs that use this library.

pub mod bench_mode;
pub mod build;
pub mod dnf;
pub mod librepo_calls;
pub mod librepo_source;
pub mod programs;
pub mod servers;
pub mod users;
