//! Tests of name resolution in a world, with the system's own resolver.

use crate::client::lookup;
use lab::*;
use std::path::Path;

#[test]
fn lookup_takes_the_delay_finds_ipv6_first_and_is_counted() {
    isolated!(|| {
        let world = World::start(
            Spec::new()
                .dns_delay(ms(20))
                .mirror(Mirror::new("both.lab.example").both(answer(ms(1))))
                .mirror(Mirror::new("slow.lab.example").ipv4(answer(ms(1))).lookup_delay(ms(200)))
                .mirror(Mirror::new("none.lab.example")),
        )
        .unwrap();
        let (found, took) = lookup("both.lab.example");
        assert_eq!(found.unwrap(), [world.ipv6("both.lab.example"), world.ipv4("both.lab.example")]);
        assert!(took >= ms(20));
        let (found, took) = lookup("SLOW.lab.example");
        assert_eq!(found.unwrap(), [world.ipv4("slow.lab.example")]);
        assert!(took >= ms(200));
        // The name exists, but has no address.
        lookup("none.lab.example").0.unwrap_err();

        let lookups = world.report().lookups;
        assert_eq!(lookups["both.lab.example"], Queries { a: 1, aaaa: 1 });
        assert_eq!(lookups["slow.lab.example"], Queries { a: 1, aaaa: 1 });
        assert_eq!(lookups.len(), 3);
    });
}

#[test]
fn lookup_fails_in_the_configured_way() {
    isolated!(|| {
        let world = World::start(
            Spec::new()
                .mirror(Mirror::new("nx.lab.example").both(answer(ms(1))).lookup(Lookup::NxDomain))
                .mirror(Mirror::new("fails.lab.example").both(answer(ms(1))).lookup(Lookup::ServFail))
                .mirror(Mirror::new("silent.lab.example").both(answer(ms(1))).lookup(Lookup::Silent)),
        )
        .unwrap();
        for name in ["nx.lab.example", "unknown.lab.example"] {
            let why = lookup(name).0.unwrap_err().to_string();
            assert!(why.contains("not known"), "{why}");
        }
        let why = lookup("fails.lab.example").0.unwrap_err().to_string();
        assert!(why.contains("Temporary failure"), "{why}");
        let (found, took) = lookup("silent.lab.example");
        assert!(found.unwrap_err().to_string().contains("Temporary failure"));
        // Two attempts of one second.
        assert!(took >= ms(1900), "{took:?}");
        assert_eq!(world.report().lookups["silent.lab.example"], Queries { a: 2, aaaa: 2 });
        // NXDOMAIN is final: the resolver does not append a search domain.
        assert_eq!(world.report().lookups.len(), 4);
    });
}

#[test]
fn blocked_name_has_addresses_that_are_none() {
    isolated!(|| {
        let blocked = Mirror::new("blocked.lab.example").lookup(Lookup::Blocked);
        let _world = World::start(Spec::new().mirror(blocked)).unwrap();
        let found: Vec<_> = lookup("blocked.lab.example").0.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.is_unspecified()), "{found:?}");
    });
}

#[test]
fn hosts_file_and_name_server_can_be_used_in_turn() {
    isolated!(|| {
        let spec = Spec::new()
            .mirror(Mirror::new("a.lab.example").both(answer(ms(1))))
            .mirror(Mirror::new("b.lab.example").both(answer(ms(1))).lookup(Lookup::NxDomain));
        for _ in 0..3 {
            let world = World::start(spec.clone().names(Names::Hosts)).unwrap();
            assert_eq!(lookup("a.lab.example").0.unwrap().len(), 2);
            lookup("b.lab.example").0.unwrap_err();
            assert!(world.report().lookups.is_empty());
            drop(world);

            let world = World::start(spec.clone()).unwrap();
            assert_eq!(lookup("a.lab.example").0.unwrap().len(), 2);
            assert_eq!(world.report().lookups["a.lab.example"], Queries { a: 1, aaaa: 1 });
        }
    });
}

#[test]
fn resolver_files_may_be_missing_on_the_system() {
    isolated!(|| {
        // As on a machine that has just been installed: a dangling link, and no other file.
        let etc = c"/etc".as_ptr();
        // SAFETY: constant, terminated strings; the namespace is ours.
        assert_eq!(unsafe { libc::mount(c"lab".as_ptr(), etc, c"tmpfs".as_ptr(), 0, std::ptr::null()) }, 0);
        std::os::unix::fs::symlink("../run/nowhere/resolv.conf", "/etc/resolv.conf").unwrap();
        std::fs::create_dir("/etc/directory").unwrap();
        std::fs::write("/etc/directory/file", "still here").unwrap();
        for _ in 0..2 {
            let world =
                World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(1))))).unwrap();
            assert_eq!(lookup("a.lab.example").0.unwrap(), {
                [world.ipv6("a.lab.example"), world.ipv4("a.lab.example")]
            });
            assert_eq!(std::fs::read_to_string("/etc/directory/file").unwrap(), "still here");
        }
        assert!(Path::new("/etc/directory").is_dir());
    });
}
