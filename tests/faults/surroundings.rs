//! What the rest of a process may do while lookups hang, and limits of the process:
//! `tests/c/faults/surroundings.c`.

use super::{cannot_inject, library, programs};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use support::build::run;
use support::servers::Server;
use support::users;

fn check(case: &str, argument: Option<&Path>) {
    if cannot_inject() {
        return;
    }
    let server = Server::start(Ipv4Addr::UNSPECIFIED);
    let mut command = Command::new(&programs().surroundings);
    command.arg(case).arg(server.port().to_string()).args(argument);
    assert_eq!(run(&mut command), "fine\n", "{case}");
}

#[test]
fn hanging_lookups_of_several_threads_disturb_no_call() {
    check("threads", None);
}

#[test]
fn hanging_lookups_of_many_calls_leave_threads_and_descriptors_to_the_program() {
    check("many", None);
}

#[test]
fn forked_child_ranks_while_lookups_of_its_parent_hang() {
    check("fork", None);
}

#[test]
fn program_exits_while_lookups_hang() {
    check("exit", None);
}

#[test]
fn lookups_return_after_the_library_was_closed() {
    if cannot_inject() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Another file, since the program is linked with the library itself.
    let copy = directory.path().join("copy.so");
    std::fs::copy(library(), &copy).expect("a copy of the library");
    check("dlclose", Some(&copy));
}

#[test]
fn lookups_stay_outside_a_changed_root() {
    if users::can_become_others() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        check("chroot", Some(directory.path()));
    }
}

#[test]
fn user_changes_while_lookups_hang() {
    if users::can_become_others() {
        check("setuid", None);
    }
}

#[test]
fn lookups_leave_the_files_of_a_program_alone_that_has_closed_all_descriptors() {
    check("close", None);
}

#[test]
fn signals_every_200_microseconds_change_nothing() {
    check("signals", None);
    check("restarting-signals", None);
}

#[test]
fn descriptors_are_used_as_far_as_there_are_any() {
    check("few-descriptors", None);
}

#[test]
fn call_fits_on_a_small_stack() {
    check("small-stack", None);
}

#[test]
fn addresses_are_measured_without_memory_for_a_thread() {
    check("little-memory", None);
}

#[test]
fn addresses_are_measured_where_the_user_may_have_no_more_threads() {
    if users::can_become_others() {
        check("few-processes", None);
    }
}
