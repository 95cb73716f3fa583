//! Names inside a world, by the system's own resolver.

use crate::client::look_up;
use lab::*;
use std::path::Path;

#[test]
fn names_are_found_ipv6_first_after_the_delay_and_counted() {
    isolated!(|| {
        let world = World::start(
            Spec::new()
                .dns_delay(ms(20))
                .mirror(Mirror::new("both.lab.example").both(answer(ms(1))))
                .mirror(Mirror::new("slow.lab.example").ipv4(answer(ms(1))).lookup_delay(ms(200)))
                .mirror(Mirror::new("none.lab.example")),
        )
        .unwrap();
        let (found, took) = look_up("both.lab.example");
        assert_eq!(found.unwrap(), [world.ipv6("both.lab.example"), world.ipv4("both.lab.example")]);
        assert!(took >= ms(20));
        let (found, took) = look_up("SLOW.lab.example");
        assert_eq!(found.unwrap(), [world.ipv4("slow.lab.example")]);
        assert!(took >= ms(200));
        // There, but without an address.
        look_up("none.lab.example").0.unwrap_err();

        let lookups = world.report().lookups;
        assert_eq!(lookups["both.lab.example"], Asked { a: 1, aaaa: 1 });
        assert_eq!(lookups["slow.lab.example"], Asked { a: 1, aaaa: 1 });
        assert_eq!(lookups.len(), 3);
    });
}

#[test]
fn a_name_that_fails_fails_in_its_own_way() {
    isolated!(|| {
        let world = World::start(
            Spec::new()
                .mirror(Mirror::new("nx.lab.example").both(answer(ms(1))).lookup(Lookup::NxDomain))
                .mirror(Mirror::new("fails.lab.example").both(answer(ms(1))).lookup(Lookup::ServFail))
                .mirror(Mirror::new("silent.lab.example").both(answer(ms(1))).lookup(Lookup::Silent)),
        )
        .unwrap();
        for name in ["nx.lab.example", "nobody.lab.example"] {
            let why = look_up(name).0.unwrap_err().to_string();
            assert!(why.contains("not known"), "{why}");
        }
        let why = look_up("fails.lab.example").0.unwrap_err().to_string();
        assert!(why.contains("Temporary failure"), "{why}");
        let (found, took) = look_up("silent.lab.example");
        assert!(found.unwrap_err().to_string().contains("Temporary failure"));
        // Two tries of one second.
        assert!(took >= ms(1900), "{took:?}");
        assert_eq!(world.report().lookups["silent.lab.example"], Asked { a: 2, aaaa: 2 });
        // NXDOMAIN is final: not asked again with a domain behind it.
        assert_eq!(world.report().lookups.len(), 4);
    });
}

#[test]
fn names_can_come_from_the_hosts_file_and_from_the_next_world_s_server() {
    isolated!(|| {
        let spec = Spec::new()
            .mirror(Mirror::new("a.lab.example").both(answer(ms(1))))
            .mirror(Mirror::new("b.lab.example").both(answer(ms(1))).lookup(Lookup::NxDomain));
        for _ in 0..3 {
            let world = World::start(spec.clone().names(Names::Hosts)).unwrap();
            assert_eq!(look_up("a.lab.example").0.unwrap().len(), 2);
            look_up("b.lab.example").0.unwrap_err();
            assert!(world.report().lookups.is_empty());
            drop(world);

            let world = World::start(spec.clone()).unwrap();
            assert_eq!(look_up("a.lab.example").0.unwrap().len(), 2);
            assert_eq!(world.report().lookups["a.lab.example"], Asked { a: 1, aaaa: 1 });
        }
    });
}

#[test]
fn a_system_without_these_files_will_do() {
    isolated!(|| {
        // As on a machine that has just been installed: one link leads nowhere, the rest is missing.
        let etc = c"/etc".as_ptr();
        // SAFETY: constant, terminated strings; the namespace is ours.
        assert_eq!(unsafe { libc::mount(c"lab".as_ptr(), etc, c"tmpfs".as_ptr(), 0, std::ptr::null()) }, 0);
        std::os::unix::fs::symlink("../run/nowhere/resolv.conf", "/etc/resolv.conf").unwrap();
        std::fs::create_dir("/etc/folder").unwrap();
        std::fs::write("/etc/folder/file", "still here").unwrap();
        for _ in 0..2 {
            let world =
                World::start(Spec::new().mirror(Mirror::new("a.lab.example").both(answer(ms(1))))).unwrap();
            assert_eq!(look_up("a.lab.example").0.unwrap(), {
                [world.ipv6("a.lab.example"), world.ipv4("a.lab.example")]
            });
            assert_eq!(std::fs::read_to_string("/etc/folder/file").unwrap(), "still here");
        }
        assert!(Path::new("/etc/folder").is_dir());
    });
}
