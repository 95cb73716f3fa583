//! Tests of the schedule with a virtual clock: tables of small worlds.

mod random;
mod world;

use super::simulation::*;
use super::*;
use std::net::Ipv4Addr;
use world::*;

fn measured(latency: u64) -> Outcome {
    Outcome::Measured(ms(latency))
}

/// Live mirrors at these distances.
fn live(rtts: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Site> {
    rtts.into_iter().map(|rtt| v4(Answers(rtt)))
}

/// A host to measure that is given by its address.
fn literal(n: u8, latency: Option<Duration>) -> HostKnowledge {
    let addresses = Addresses::choose(&[([192, 0, 2, n], 0).into()]);
    HostKnowledge { is_measured: true, addresses, latency }
}

fn endpoint((host, port): (usize, u16)) -> TimedEndpoint {
    TimedEndpoint { host: HostId(host), port, is_tried: false, is_troubled: false }
}

#[test]
fn idle_without_a_mirror() {
    world([]).run().ends(StopReason::Idle, 0);
}

#[test]
fn complete_when_the_only_mirror_answers() {
    world([v4(Answers(30))]).run().ends(StopReason::Complete, 30).outcomes(&[measured(30)]);
    world([v4(Answers(30)).named(5)]).run().ends(StopReason::Complete, 35).outcomes(&[measured(30)]);
    world([v4(Refuses(30))]).run().ends(StopReason::Complete, 30).outcomes(&[Outcome::Refused]);
    world([v4(Unreachable(30))]).run().ends(StopReason::Complete, 30).outcomes(&[Outcome::Unreachable]);
}

#[test]
fn single_silent_mirror_gets_a_second_syn_and_the_timeout() {
    let run = world([v4(Silent)]).run();
    run.ends(StopReason::Timeout, 2000).outcomes(&[Outcome::Unanswered]);
    assert_eq!(run.syns_to(0), [0, 250]);
}

#[test]
fn single_mirror_is_measured_by_its_second_syn_if_the_first_is_lost() {
    world([v4(Loses(30))]).run().ends(StopReason::Complete, 280).outcomes(&[measured(30)]);
}

#[test]
fn timeout_of_zero_measures_nothing() {
    let run = world(live([1, 2])).timeout(0).run();
    run.ends(StopReason::Timeout, 0).outcomes(&[Outcome::Unanswered; 2]);
    assert!(run.syns.is_empty());
    world([]).timeout(0).run().ends(StopReason::Idle, 0);
}

#[test]
fn timeout_stops_what_nothing_else_does() {
    let run = world((0..50).map(|_| v4(Silent))).timeout(700).run();
    run.ends(StopReason::Timeout, 700);
    assert_eq!(run.syns.len(), 100);
}

#[test]
fn cancel_stops_at_once_and_keeps_what_is_known() {
    let mut world = world(live([10, 90]));
    world.cancel = Some(40);
    world.run().ends(StopReason::Cancelled, 40).outcomes(&[measured(10), Outcome::Unanswered]);
}

#[test]
fn settled_when_no_silent_mirror_can_be_in_the_pool_and_fallbacks_are_known() {
    // Best 10: the pool ends at 20. Sixteen fallbacks answer by 40. Far and dead mirrors are not
    // waited for.
    let near = [10, 12, 15];
    let fallbacks = (25..41).collect::<Vec<_>>();
    let far = || live([100, 150, 220]).chain([v4(Silent)]);
    let run = world(live(near).chain(live(fallbacks.clone())).chain(far())).run();
    run.ends(StopReason::Settled, 40);
    assert_eq!(run.outcomes.iter().filter(|&&o| o == Outcome::Unanswered).count(), 4);
    assert!(run.syns.iter().all(|(_, attempt, _)| !attempt.is_second()));
    // Without fallbacks it takes the limit and two milliseconds.
    world(live(near).chain(live(fallbacks.clone())).chain(far()))
        .fallbacks(0)
        .run()
        .ends(StopReason::Settled, 22);
    // With too few, they are waited for as long again as the pool took, between 10 and 50 ms.
    let short = || live(near).chain(far());
    world(short()).run().ends(StopReason::Settled, 22 + 20);
    world(live([2, 90]).chain([v4(Silent)])).run().ends(StopReason::Settled, 6 + 10);
    world(live([60, 150]).chain([v4(Silent)])).run().ends(StopReason::Settled, 122 + 50);
    // One that answers meanwhile may be the one that was missing.
    world(short().chain(live([30]))).fallbacks(1).run().ends(StopReason::Settled, 30);
    // If all are fallbacks, the dead one costs the quiet time after the last answer.
    world(live(near).chain(live(fallbacks)).chain(far()))
        .fallbacks(usize::MAX)
        .run()
        .ends(StopReason::Quiet, 220 + 220);
}

#[test]
fn fallbacks_count_hosts_and_not_urls() {
    let start = Instant::now();
    let options = world([]).fallbacks(2).options;
    let endpoints = [(0, 80), (1, 80), (1, 443), (2, 80)].map(endpoint);
    let hosts = (0..3).map(|n| literal(n, None)).collect();
    let mut schedule = Schedule::new(options, hosts, endpoints.into(), AttemptCounts::default(), start);
    while let Step::Connect(..) = schedule.next(start) {}
    let first = |endpoint| Attempt::new(endpoint, false);
    schedule.answered(first(0), ms(10), start + ms(10));
    schedule.answered(first(1), ms(31), start + ms(31));
    schedule.answered(first(2), ms(30), start + ms(31));
    assert!(matches!(schedule.next(start + ms(31)), Step::Wait(_)), "one host outside the pool is not two");
    // A faster endpoint replaces the latency of its host.
    assert_eq!(schedule.latencies.direct(), [ms(10), ms(30)]);
}

#[test]
fn troubled_mirror_does_not_make_the_pool_that_is_waited_for() {
    let run = |is_troubled: bool| {
        let start = Instant::now();
        let options = world([]).fallbacks(0).options;
        let mut endpoints = [(0, 80), (1, 80), (2, 80)].map(endpoint);
        endpoints[0].is_troubled = is_troubled;
        let hosts = (0..3).map(|n| literal(n, None)).collect();
        let mut schedule = Schedule::new(options, hosts, endpoints.into(), AttemptCounts::default(), start);
        while let Step::Connect(..) = schedule.next(start) {}
        schedule.answered(Attempt::new(0, false), ms(1), start + ms(1));
        let first = (schedule.best(), schedule.next(start + ms(10)));
        schedule.answered(Attempt::new(1, false), ms(20), start + ms(20));
        (first, schedule.best(), schedule.next(start + ms(41)))
    };
    let ((best, step), _, _) = run(false);
    assert_eq!((best, step), (Some(ms(1)), Step::Stop(StopReason::Settled)));
    let ((best, step), then, after) = run(true);
    assert!(best.is_none() && matches!(step, Step::Wait(_)), "{step:?}");
    assert_eq!(then, Some(ms(20)));
    assert!(matches!(after, Step::Wait(_)), "{after:?}");
}

#[test]
fn lookups_leave_their_descriptors_to_attempts_when_they_finish() {
    let mut world = world((0..20).map(|n| v4(Silent).named(if n < 10 { 5 } else { 20 })));
    world.options = ScheduleOptions { lookups: 4, descriptors: 15, ..world.options };
    let run = world.run();
    let sent_until = |time| run.syns.iter().filter(|(sent, ..)| *sent <= ms(time)).count();
    // Four lookups hold three each, until all are done.
    assert_eq!((sent_until(19), sent_until(30)), (3, 15));
    run.ends(StopReason::Timeout, 2000);
}

#[test]
fn fallbacks_count_a_cached_host_with_a_new_endpoint_once() {
    let start = Instant::now();
    let options = world([]).fallbacks(2).options;
    let cached = HostKnowledge { is_measured: false, addresses: None, latency: Some(ms(10)) };
    let hosts = vec![literal(0, Some(ms(35))), literal(1, None), cached];
    let endpoints = [(0, 443), (1, 80)].map(endpoint);
    let mut schedule = Schedule::new(options, hosts, endpoints.into(), AttemptCounts::default(), start);
    while let Step::Connect(..) = schedule.next(start) {}
    schedule.answered(Attempt::new(0, false), ms(30), start + ms(30));
    assert_eq!(schedule.latencies.direct(), [ms(10), ms(30)]);
    assert!(matches!(schedule.next(start + ms(30)), Step::Wait(_)), "one host outside the pool is not two");
}

#[test]
fn lookup_of_a_late_best_mirror_is_waited_for() {
    // The pool so far ends at 100 + 2; the best one's name comes at 40, its answer at 45.
    let sites = live(50..70).chain([v4(Answers(5)).named(40), v4(Silent)]);
    let run = world(sites).fallbacks(0).run();
    run.ends(StopReason::Settled, 45);
    assert_eq!(run.outcomes[20], measured(5));
}

#[test]
fn slow_resolver_that_makes_progress_is_waited_for() {
    // Twenty rounds of names, 30 ms each; the last one is the best.
    let sites = (1..=20).flat_map(|round| (0..8).map(move |_| v4(Answers(40)).named(round * 30)));
    let run = world(sites.chain([v4(Answers(3)).named(600)])).fallbacks(0).run();
    assert_eq!(run.outcomes[160], measured(3));
    // What is left then waits for the new, lower limit only.
    run.ends(StopReason::Settled, 608);
}

#[test]
fn hanging_name_costs_fifty_milliseconds_at_most() {
    let hung = || v4(Answers(1)).named(HANGS);
    world(live(10..40).chain([hung()])).run().ends(StopReason::Settled, 50);
    // Three times the median where that is longer.
    world((10..40).map(|rtt| v4(Answers(rtt)).named(30)).chain([hung()])).run().ends(StopReason::Settled, 90);
    world(live([10, 20]).chain([hung()])).run().ends(StopReason::Settled, 50 + 20);
    world(live([10, 20]).chain([hung()])).fallbacks(usize::MAX).run().ends(StopReason::Quiet, 120);
    // If no mirror has answered, nothing but the timeout stops the run.
    world([hung(), v4(Refuses(10))]).run().ends(StopReason::Timeout, 2000);
}

#[test]
fn name_without_an_address_is_unresolved() {
    let nowhere = Site { lookup: Some(7), paths: vec![], twin_of: None };
    world([nowhere, v4(Answers(3))])
        .run()
        .ends(StopReason::Complete, 7)
        .outcomes(&[Outcome::Unresolved, measured(3)]);
}

#[test]
fn dead_mirror_costs_the_quiet_time_and_one_hedge_if_all_are_wanted() {
    let rtts = [8, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200];
    world(live(rtts).chain([v4(Silent)])).run().ends(StopReason::Settled, 18 + 16);
    let run = world(live(rtts).chain([v4(Silent)])).fallbacks(usize::MAX).run();
    run.ends(StopReason::Quiet, 400);
    assert_eq!(run.syns_to(11), [0, 300]);
    assert_eq!(run.syns.len(), 13, "the others get one SYN each");
    // With two families it costs no more.
    let world = |sites: Vec<Site>| world(sites).fallbacks(usize::MAX);
    world(live(rtts).chain([both(Silent, Silent)]).collect()).run().ends(StopReason::Quiet, 400);
    // Near mirrors only: the least quiet time.
    world(live([5, 9, 12]).chain([v4(Silent)]).collect()).run().ends(StopReason::Quiet, 112);
}

#[test]
fn hedge_makes_up_for_a_lost_syn() {
    let run = world(live([5, 9, 12]).chain([v4(Loses(8))])).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 12 + 50 + 8).outcomes(&[
        measured(5),
        measured(9),
        measured(12),
        measured(8),
    ]);
}

#[test]
fn hedge_is_not_delayed_by_answers_to_hedges() {
    // The second hedge is due 70 ms after the first, which is answered in between.
    let lost = [v4(Loses(30)), v4(Loses(200)).named(350)];
    let run = world(live((1..=7).map(|n| n * 40)).chain(lost)).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 490 + 200);
    assert_eq!((run.syns_to(7), run.syns_to(8)), (vec![0, 420], vec![350, 490]));

    // The same if an answer of another mirror has divided the hedges, so that some leave later.
    let dual = [both(Answers(12), Silent), both(Silent, Answers(170))];
    let lost = [16, 83, 123, 227, 240, 249, 252].map(|rtt| v4(Loses(rtt)));
    let mut world = world(live((1..=28).map(|n| n * 10)).chain(dual).chain(lost)).fallbacks(usize::MAX);
    world.pace = ms(1);
    let run = world.run();
    assert_eq!(run.stop_reason, StopReason::Complete, "{run:?}");
    let hedges: Vec<_> = (30..37).map(|site| run.syns_to(site)[1]).collect();
    assert_eq!(hedges, [447, 448, 589, 590, 591, 592, 593]);
}

#[test]
fn hedge_is_not_sent_to_mirrors_that_are_only_far() {
    let run = world(live((1..=40).map(|n| n * 8))).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 320);
    assert_eq!(run.syns.len(), 40);
    // Nor if the client is far from all mirrors.
    assert_eq!(world(live(200..230)).fallbacks(usize::MAX).run().syns.len(), 30);
}

#[test]
fn failure_tries_the_other_family_at_once() {
    let run = world([both(Unreachable(1), Answers(20)), both(Refuses(3), Answers(9))]).run();
    run.ends(StopReason::Complete, 21).outcomes(&[measured(20), measured(9)]);
    assert_eq!((run.syns_to(0), run.syns_to(1)), (vec![0, 1], vec![0, 3]));
}

#[test]
fn failure_tries_the_next_address_but_never_the_same() {
    let two = Site { lookup: None, paths: vec![(false, Refuses(4)), (false, Answers(6))], twin_of: None };
    let run = world([two, v4(Refuses(5))]).run();
    run.ends(StopReason::Complete, 10).outcomes(&[measured(6), Outcome::Refused]);
    assert_eq!((run.syns_to(0), run.syns_to(1)), (vec![0, 4], vec![0]));
}

#[test]
fn failure_is_a_refusal_if_either_attempt_was_refused() {
    world([
        both(Unreachable(1), Refuses(20)),
        both(Refuses(3), Unreachable(9)),
        both(Unreachable(1), Unreachable(2)),
    ])
    .run()
    .ends(StopReason::Complete, 21)
    .outcomes(&[Outcome::Refused, Outcome::Refused, Outcome::Unreachable]);
}

#[test]
fn family_that_is_dead_everywhere_costs_the_delay_of_rfc_8305() {
    let run = world((0..5).map(|n| both(Silent, Answers(10 + n)))).run();
    run.ends(StopReason::Complete, 264);
    assert_eq!(run.outcomes[4], measured(14));
}

#[test]
fn family_that_is_dead_while_the_other_answers_costs_the_limit() {
    // The single-family mirror answers at 10: the limit is 20, and the others go to IPv4 then.
    let run = world([v4(Answers(10))].into_iter().chain((0..5).map(|n| both(Silent, Answers(12 + n))))).run();
    run.ends(StopReason::Complete, 36);
    assert_eq!(run.syns_to(5), [0, 20]);
    // The run is not settled before that.
    let silent = (0..3).map(|_| v4(Silent));
    let sites =
        [v4(Answers(10))].into_iter().chain((0..5).map(|n| both(Silent, Answers(12 + n)))).chain(silent);
    world(sites).fallbacks(0).run().ends(StopReason::Settled, 36);
}

#[test]
fn family_that_is_dead_for_one_mirror_is_hedged_over_the_other() {
    let sites = [both(Answers(10), Answers(10)), both(Answers(30), Silent), both(Silent, Answers(12))];
    let run = world(sites).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 30 + 50 + 12);
    assert!(run.syns.last().unwrap().2.is_ipv4());
    // Every connection of the client to it waits for that, too.
    assert_eq!(run.detoured, [false, false, true]);
}

#[test]
fn hedge_does_not_cancel_the_first_syn() {
    // The far one is hedged in the long silence, and answers its first SYN afterwards.
    let run = world(live([10, 105])).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 105).outcomes(&[measured(10), measured(105)]);
    assert_eq!(run.syns_to(1), [0, 60]);
}

#[test]
fn cached_latency_sets_the_limit_and_counts_as_a_fallback() {
    let mut world = world(live([40]).chain([v4(Silent)])).fallbacks(2);
    world.cached = vec![ms(10), ms(90), ms(80)];
    world.run().ends(StopReason::Settled, 22).outcomes(&[Outcome::Unanswered; 2]);
    world.options.fallbacks = 16;
    world.run().ends(StopReason::Settled, 22 + 20);
    // A silent mirror beside cached ones does not cost the timeout.
    world.options.fallbacks = usize::MAX;
    world.run().ends(StopReason::Quiet, 140);
}

#[test]
fn check_waits_for_a_slow_resolver() {
    let mut world = world([8, 14].map(|rtt| v4(Answers(rtt)).named(80))).fallbacks(0);
    world.cached = vec![ms(8), ms(14)];
    // Otherwise a lookup has 50 ms: what is known already does not wait for a name that hangs.
    world.run().ends(StopReason::Settled, 50);
    world.options.is_check = true;
    world.run().ends(StopReason::Complete, 94).outcomes(&[measured(8), measured(14)]);
    // One name that hangs beside another is not waited for.
    world.sites[1] = v4(Answers(14)).named(HANGS);
    world.run().ends(StopReason::Settled, 240).outcomes(&[measured(8), Outcome::Unanswered]);
}

#[test]
fn check_waits_as_long_as_the_pool_needs_without_the_unconfirmed() {
    let start = Instant::now();
    let options = ScheduleOptions { is_check: true, ..world([]).fallbacks(0).options };
    let hosts = [8, 10, 14].into_iter().enumerate().map(|(n, rtt)| literal(n as u8, Some(ms(rtt)))).collect();
    let endpoints = (0..3).map(|n| endpoint((n, 80))).collect();
    let mut schedule = Schedule::new(options, hosts, endpoints, AttemptCounts::default(), start);
    while let Step::Connect(..) = schedule.next(start) {}
    assert_eq!(schedule.next(start), Step::Wait(start + ms(2 * 8 + 2)));
    let first = |endpoint| Attempt::new(endpoint, false);
    schedule.answered(first(1), ms(10), start + ms(10));
    assert_eq!(schedule.next(start + ms(10)), Step::Wait(start + ms(2 * 10 + 2)));
    schedule.answered(first(0), ms(8), start + ms(11));
    assert_eq!(schedule.next(start + ms(11)), Step::Wait(start + ms(2 * 8 + 2)));
}

#[test]
fn first_address_alone_counts_within_a_family() {
    // The client would wait for seconds before it tried the second one.
    let late = Site { lookup: None, paths: vec![(false, Silent), (false, Answers(10))], twin_of: None };
    let run = world([late.clone(), v4(Answers(25))]).run();
    run.ends(StopReason::Settled, 52 + 50).outcomes(&[Outcome::Unanswered, measured(25)]);
    assert_eq!(run.syns.len(), 2);
    let run = world([late, v4(Answers(25))]).fallbacks(usize::MAX).run();
    run.ends(StopReason::Quiet, 25 + 100).outcomes(&[Outcome::Unanswered, measured(25)]);
    let hedge = run.syns.last().unwrap();
    assert_eq!((hedge.0, hedge.2), (ms(75), run.syns[0].2), "the hedge goes to the first address, too");
}

#[test]
fn detoured_host_sets_no_limit_unless_there_is_no_direct_one() {
    // IPv6 works elsewhere: 200 ms of waiting at each connection are the mirror's own.
    let sites = || [both(Silent, Answers(10)), both(Answers(25), Silent)];
    let run = world(sites()).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 75 + 10).outcomes(&[measured(10), measured(25)]);
    assert_eq!(run.detoured, [true, false]);
    // A family that is dead everywhere detours no host, ...
    let run = world([both(Silent, Answers(10)), both(Silent, Answers(25))]).run();
    assert_eq!((run.outcomes, run.detoured), (vec![measured(10), measured(25)], vec![false; 2]));
    // ... until it answers. (The other family comes after the limit, 10, and answers at 20.)
    let late = both(Answers(30), Silent).named(15);
    let run = world([both(Silent, Answers(10)), late, v4(Answers(5))]).fallbacks(usize::MAX).run();
    run.ends(StopReason::Complete, 45).outcomes(&[measured(10), measured(30), measured(5)]);
    assert_eq!(run.detoured, [true, false, false]);
}

#[test]
fn names_of_one_address_are_tried_once_and_count_as_one_host() {
    let sites = (0..600).map(|_| v4(Silent).twin_of(0)).chain(live([10]));
    let run = world(sites).run();
    run.ends(StopReason::Settled, 22 + 20);
    assert_eq!(run.syns.len(), 2);
    assert!(run.outcomes[..600].iter().all(|&outcome| outcome == Outcome::Unanswered));
    // What is measured under one name counts for the others, and they are one fallback.
    let sites = live([10, 30]).chain((0..20).map(|_| v4(Answers(30)).twin_of(1))).chain([v4(Silent)]);
    let run = world(sites).fallbacks(2).run();
    run.ends(StopReason::Settled, 22 + 20);
    assert_eq!(run.syns.len(), 3);
    assert!(run.outcomes[1..22].iter().all(|&outcome| outcome == measured(30)));
}

#[test]
fn address_gets_eight_attempts_at_most() {
    let start = Instant::now();
    let options = world([]).fallbacks(usize::MAX).options;
    // Twenty names with a port each, in both forms of one address.
    let host = |n: u8| {
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
        let address =
            if n % 2 == 0 { literal(1, None).addresses } else { Addresses::choose(&[(mapped, 0).into()]) };
        HostKnowledge { addresses: address, ..literal(1, None) }
    };
    let endpoints = (0..20).map(|n| endpoint((n, 80 + n as u16))).collect();
    let hosts = (0..20).map(host).collect();
    let mut schedule = Schedule::new(options.clone(), hosts, endpoints, AttemptCounts::default(), start);
    let mut sent = 0;
    while let Step::Connect(..) = schedule.next(start) {
        sent += 1;
    }
    assert_eq!((sent, schedule.completed()), (8, 12));
    assert!(!schedule.syn_sent(8) && schedule.outcome(8) == Outcome::Unanswered);
    // Nor does another pass of the run add any.
    let mut again = Schedule::new(
        options,
        vec![literal(1, None)],
        vec![endpoint((0, 8080))],
        schedule.into_attempts(),
        start,
    );
    assert_eq!(again.next(start), Step::Stop(StopReason::Complete));
}

#[test]
fn endpoint_that_was_tried_before_gets_one_more_attempt() {
    let start = Instant::now();
    let tried = TimedEndpoint { is_tried: true, ..endpoint((0, 80)) };
    let hosts = vec![literal(1, None), literal(2, None)];
    let endpoints = vec![tried, endpoint((1, 80))];
    let options = world([]).options;
    let mut schedule = Schedule::new(options, hosts, endpoints, AttemptCounts::default(), start);
    let Step::Connect(attempt, address) = schedule.next(start) else { panic!("an attempt") };
    assert_eq!((attempt, address), (Attempt::new(0, true), ([192, 0, 2, 1], 80).into()));
    let Step::Connect(other, _) = schedule.next(start) else { panic!("another attempt") };
    schedule.answered(other, ms(10), start + ms(10));
    schedule.answered(attempt, ms(12), start + ms(12));
    assert_eq!(schedule.next(start + ms(12)), Step::Stop(StopReason::Complete));
    assert!(schedule.syn_sent(0) && !schedule.is_detoured(0));
}

/// Addresses of both families, IPv6 first, as the system sorts them.
fn both_families(n: u8) -> Option<Addresses> {
    let mut ipv6 = Ipv4Addr::new(192, 0, 2, n).to_ipv6_mapped().segments();
    ipv6[0] = 0x2001;
    Addresses::choose(&[(ipv6, 0).into(), ([192, 0, 2, n], 0).into()])
}

#[test]
fn host_that_was_tried_before_gets_its_second_attempt_where_the_client_will_go() {
    let start = Instant::now();
    let dual = both_families(1).expect("two addresses");
    let only = |is_ipv4: bool| {
        let Addresses { first, other_family, .. } = both_families(2).expect("two addresses");
        Addresses::choose(&[if is_ipv4 { other_family.expect("it has one") } else { first }])
    };
    for (answer, expected, time) in [
        // Its own family works: it may just be farther away than was thought.
        (Some(false), dual.first, 10),
        // Only the other one does.
        (Some(true), dual.other_family.expect("it has one"), 20),
        (None, dual.other_family.expect("it has one"), 250),
    ] {
        let addresses = [Some(dual), only(answer == Some(true))];
        let hosts =
            addresses.map(|addresses| HostKnowledge { addresses, ..literal(1, None) }).into_iter().collect();
        let endpoints = vec![TimedEndpoint { is_tried: true, ..endpoint((0, 80)) }, endpoint((1, 80))];
        let options = world([]).fallbacks(0).options;
        let mut schedule = Schedule::new(options, hosts, endpoints, AttemptCounts::default(), start);
        let Step::Connect(other, _) = schedule.next(start) else { panic!("an attempt") };
        assert_eq!(other, Attempt::new(1, false));
        if answer.is_some() {
            schedule.answered(other, ms(10), start + ms(10));
        }
        if time > 10 {
            let early = schedule.next(start + ms(time - 1));
            assert_eq!(early, Step::Wait(start + ms(time)), "neither an attempt nor the end");
        }
        let Step::Connect(attempt, address) = schedule.next(start + ms(time)) else { panic!("an attempt") };
        assert_eq!((attempt, address.ip()), (Attempt::new(0, true), expected.ip()), "{answer:?}");
        schedule.answered(attempt, ms(12), start + ms(time + 12));
        assert!(schedule.is_tried_twice(0) && !schedule.is_tried_twice(1) && !schedule.is_detoured(0));
    }
}

#[test]
fn family_that_answered_in_an_earlier_pass_is_not_dead_everywhere() {
    let start = Instant::now();
    for has_answered in [false, true] {
        let mut earlier = AttemptCounts::default();
        earlier.answered_ipv6 = has_answered;
        let hosts = vec![HostKnowledge { addresses: both_families(1), ..literal(1, None) }];
        let options = world([]).options;
        let mut schedule = Schedule::new(options, hosts, vec![endpoint((0, 80))], earlier, start);
        assert!(matches!(schedule.next(start), Step::Connect(..)));
        let Step::Connect(second, _) = schedule.next(start + ms(250)) else { panic!("a second attempt") };
        schedule.answered(second, ms(10), start + ms(260));
        assert_eq!(schedule.is_detoured(0), has_answered);
        let left = schedule.into_attempts();
        assert_eq!((left.answered_ipv4, left.answered_ipv6), (true, has_answered));
    }
}

#[test]
fn check_sends_no_hedges() {
    let mut world = world([v4(Silent), both(Silent, Silent), v4(Answers(60))]).fallbacks(0);
    world.cached = vec![ms(55)];
    world.options.is_check = true;
    let run = world.run();
    // The other family has its turn, since one may be dead everywhere.
    run.ends(StopReason::Settled, 110 + 112);
    assert_eq!((run.syns_to(0), run.syns_to(1), run.syns.len()), (vec![0], vec![0, 110], 4));
}

#[test]
fn silence_is_as_long_as_it_was_waited_for_and_a_hedge_does_not_shorten_it() {
    let start = Instant::now();
    let options = world([]).fallbacks(usize::MAX).options;
    let hosts = vec![literal(1, None), literal(2, None)];
    let endpoints = [(0, 80), (1, 80)].map(endpoint).into();
    let mut schedule = Schedule::new(options, hosts, endpoints, AttemptCounts::default(), start);
    while let Step::Connect(..) = schedule.next(start) {}
    schedule.answered(Attempt::new(0, false), ms(10), start + ms(10));
    assert_eq!(schedule.waited(1, start + ms(40)), Some(ms(40)));
    assert_eq!(schedule.waited(0, start + ms(40)), None);
    assert!(matches!(schedule.next(start + ms(60)), Step::Connect(..)), "a hedge");
    assert_eq!(schedule.waited(1, start + ms(90)), Some(ms(90)));
}

#[test]
fn burst_of_the_first_syns_is_small() {
    let run = world((0..600).map(|_| v4(Answers(40)))).run();
    let by = |time| run.syns.iter().filter(|syn| syn.0 <= ms(time)).count();
    assert_eq!((by(0), by(9), by(10), by(39)), (128, 128, 512, 512));
    assert_eq!((run.syns.len(), run.most_in_flight), (600, 512));
    run.ends(StopReason::Complete, 80);
    // An answer ends the burst.
    let run = world(live([3]).chain((0..200).map(|_| v4(Answers(40))))).run();
    assert_eq!(run.syns.iter().filter(|syn| syn.0 <= ms(3)).count(), 201);
    // It counts from the first SYN, however long the names took.
    let run = world((0..200).map(|_| v4(Answers(40)).named(60))).run();
    assert_eq!(run.syns.iter().filter(|syn| syn.0 <= ms(69)).count(), 128);
}

#[test]
fn few_slots_mean_waves_and_dead_mirrors_give_way() {
    let run = world((0..100).map(|_| v4(Answers(10)))).in_flight(10).run();
    run.ends(StopReason::Complete, 100);
    assert_eq!(run.most_in_flight, 10);
    // Dead mirrors fill all slots, and the live ones behind them are still measured.
    let dead = (0..20).map(|_| v4(Silent));
    let run = world(live([10]).chain(dead).chain(live(11..31))).in_flight(10).run();
    assert!(run.outcomes[21..].iter().all(|o| o.latency().is_some()), "{run:#?}");
    assert!(run.elapsed < ms(500), "{:?}", run.elapsed);
    assert!(run.outcomes[1..21].iter().all(|&o| o == Outcome::Unanswered));
}

#[test]
fn few_slots_and_broken_ipv6_do_not_cost_the_first_of_the_list() {
    // The nearest come first in the list, and so do their dead IPv6 addresses in the slots.
    let site = |n: u64| both(Silent, Answers(10 + n / 4));
    for (mirrors, in_flight) in [(300, 381), (421, 381), (600, 512), (1000, 381), (421, 93)] {
        let run = world((0..mirrors).map(site)).in_flight(in_flight).run();
        assert!(run.outcomes[..40].iter().all(|o| o.latency().is_some()), "{mirrors} in {in_flight} slots");
        assert_eq!(run.stop_reason, if mirrors > 64 { StopReason::Settled } else { StopReason::Complete });
        let run = world((0..mirrors).map(site)).in_flight(in_flight).fallbacks(usize::MAX).run();
        assert!(run.outcomes.iter().all(|o| o.latency().is_some()), "{mirrors} in {in_flight} slots, all");
    }
    // The same if some IPv4 mirrors have answered before.
    let mixed = (0..421).map(|n| if n % 10 == 9 { v4(Answers(10 + n / 4)) } else { site(n) });
    let run = world(mixed).in_flight(381).run();
    assert!(run.outcomes[..40].iter().all(|o| o.latency().is_some()), "{:?}", run.stop_reason);
}

#[test]
fn few_slots_do_not_cost_mirrors_whose_answers_are_on_their_way() {
    let run = world((0..100).map(|n| v4(Answers(120 + n)))).fallbacks(usize::MAX).in_flight(60).run();
    assert_eq!(run.outcomes, (0..100).map(|n| measured(120 + n)).collect::<Vec<_>>());
}

#[test]
fn few_slots_full_of_dead_mirrors_are_given_up_after_half_the_timeout() {
    let run = world((0..5).map(|_| v4(Silent)).chain(live([10]))).in_flight(5).run();
    assert_eq!(run.outcomes[5], measured(10), "{run:#?}");
    assert!(run.elapsed < ms(2000));
}

#[test]
fn no_room_goes_on_with_the_descriptors_there_are() {
    let mut world = world((0..60).map(|_| v4(Answers(10))));
    world.descriptors = 7;
    let run = world.run();
    run.ends(StopReason::Complete, 90);
    assert_eq!((run.syns.len(), run.most_in_flight), (60, 7));
    // A second attempt that found no room is made later.
    let sites = live([5, 6]).chain([v4(Loses(8)), v4(Answers(300))]);
    let mut world = self::world(sites).fallbacks(usize::MAX);
    world.descriptors = 2;
    assert_eq!(world.run().outcomes[2], measured(8));
    // Without any descriptor the timeout stops the run.
    world.descriptors = 0;
    world.run().ends(StopReason::Timeout, 2000);
}

#[test]
fn addresses_are_tried_as_the_client_tries_them() {
    let v4 = |n: u8| SocketAddr::from(([192, 0, 2, n], 0));
    let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 0));
    let choose = |list: &[SocketAddr]| {
        let Addresses { first, next, other_family } = Addresses::choose(list)?;
        Some((first, next, other_family))
    };
    assert_eq!(choose(&[]), None);
    assert_eq!(choose(&[v4(1)]), Some((v4(1), None, None)));
    assert_eq!(choose(&[v4(1), v4(1)]), Some((v4(1), None, None)));
    assert_eq!(choose(&[v4(1), v4(2)]), Some((v4(1), Some(v4(2)), None)));
    assert_eq!(choose(&[v6(1), v6(2), v4(3)]), Some((v6(1), Some(v6(2)), Some(v4(3)))));
    assert_eq!(choose(&[v6(1), v4(3), v6(2)]), Some((v6(1), Some(v4(3)), Some(v4(3)))));
}
