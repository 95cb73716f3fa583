//! Tests of the generator of worlds.

use crate::client::handshakes;
use lab::geography::{Geography, Place, State};
use lab::*;
use std::collections::HashSet;
use std::net::SocketAddr;

#[test]
fn table_has_400_hosts_with_a_web_url() {
    let sites = Geography::seen_from(Place::FRANKFURT, 1).draw();
    let hosts: HashSet<_> = sites.0.iter().map(|site| site.host).collect();
    assert!(hosts.len() >= 400 && hosts.len() == sites.0.len());
    assert!(hosts.iter().all(|host| host.ends_with(".example")));
    assert!(sites.0.iter().all(|site| site.protocols.contains(&"http") || site.protocols.contains(&"https")));
    assert!(sites.urls().iter().all(|url| url.starts_with("http")));
    assert!(sites.all_urls().iter().any(|url| url.starts_with("rsync://")));
}

#[test]
fn seed_determines_the_world() {
    let drawn = |seed| Geography::seen_from(Place::TOKYO, seed).with_trouble().draw();
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}

#[test]
fn shares_of_failures_are_exact() {
    let sites = Geography::seen_from(Place::NAIROBI, 3).with_trouble().draw();
    let count = |state| sites.0.iter().filter(|site| site.state == state).count() as f64;
    let all = sites.0.len() as f64;
    for (state, share) in [(State::Dead, 0.05), (State::Refusing, 0.02), (State::LosesFirstSyn, 0.03)] {
        assert!((count(state) - share * all).abs() <= 0.5, "{state:?}");
    }
}

#[test]
fn latency_grows_with_distance() {
    for place in Place::ALL {
        let sites = Geography::seen_from(place, 1).draw();
        let (host, rtt) =
            sites.0.iter().map(|site| (site.place, site.rtt)).min_by_key(|site| site.1).unwrap();
        assert!(rtt > ms(1.5) && rtt < ms(40), "{place:?}: {host} at {rtt:?}");
        assert!(sites.0.iter().all(|site| site.rtt < ms(450)));
    }
    // Half the circumference of the earth, and zero.
    let here = Place { name: "", latitude: 10.0, longitude: 20.0 };
    assert!((here.distance_km(-10.0, -160.0) - 20_015.0).abs() < 1.0);
    assert_eq!(here.distance_km(10.0, 20.0), 0.0);
}

#[test]
fn clear_edge_keeps_mirrors_away_from_the_limit_of_the_pool() {
    for place in Place::ALL {
        for seed in 0..50 {
            let drawn = Geography::seen_from(place, seed).with_trouble();
            let (sites, unclear) = (drawn.clone().with_clear_edge().draw(), drawn.draw());
            let best = sites.best().as_secs_f64();
            let times = |rtt: std::time::Duration| rtt.as_secs_f64() / best;
            assert!(sites.0.iter().all(|site| !(1.85..=2.15).contains(&times(site.rtt))));
            // No mirror changes sides, and the best one stays the best.
            assert_eq!(sites.best(), unclear.best());
            let hosts = |pool: Vec<&geography::Site>| pool.iter().map(|site| site.host).collect::<Vec<_>>();
            assert_eq!(hosts(sites.pool()), hosts(unclear.pool()));
            assert!(sites.pool().iter().all(|site| site.is_live() && times(site.rtt) < 1.85));
        }
    }
}

#[test]
fn drawn_world_behaves_as_drawn() {
    isolated!(|| {
        let sites = Geography::seen_from(Place::SAO_PAULO, 5).with_trouble().draw();
        let world = World::start(sites.spec()).unwrap();
        let target =
            |site: &geography::Site| SocketAddr::new(*world.addresses(site.host).last().unwrap(), 80);
        let targets: Vec<_> = sites.0.iter().map(target).collect();
        // The kernel does not repeat a lost SYN within this time.
        let times = handshakes(&targets, ms(900));
        for (site, time) in sites.0.iter().zip(times) {
            assert_eq!(time.is_some(), site.state == State::Live, "{site:?}");
            assert!(time.is_none_or(|time| time >= site.rtt), "{site:?}: {time:?}");
        }
    });
}
