//! `run-qemu.sh trace` with a service whose work goes on through two queues: the timeline has a row for each queue, and
//! one band of a voucher, which all of the work holds.

use std::fs;
use std::process::Command;
use tools::qemu::{Place, image, run};
use tools::root;
use tools::timeline::model::{Timeline, Work};
use tools::timeline::record;

#[test]
fn all_work_for_a_request_holds_its_voucher_and_the_boost_ends_with_the_last() {
    let place = Place::new();
    let mut script = Command::new(root().join("run-qemu.sh"));
    script.args(["trace", "relay"]).arg(image("relay")).current_dir(&place.0).env("TALLY_OUTPUT", place.0.join("boot"));
    let outcome = run(&mut script);
    assert_eq!(outcome.status, 0, "{}{}", outcome.output, outcome.errors);
    let stream = fs::read(place.0.join("boot/events.bin")).expect("there are events");
    let timeline = Timeline::of(&record::decode(&stream).expect("whole events"));
    assert_eq!(timeline.lost, 0);

    let task = timeline.tasks.iter().find(|(_, task)| task.name == "relayd").expect("the daemon has run");
    let pid = *task.0;
    let mut work: Vec<&Work> = timeline.work.iter().filter(|work| work.pid == pid).collect();
    work.sort_by_key(|work| work.begun);
    let rows: Vec<String> = work.iter().map(|work| timeline.label(pid, work.queue)).collect();
    assert_eq!(rows, ["relay", "decode", "decode", "encode"], "{work:?}");

    // One band: the voucher that came with the request.
    let vouchers: Vec<usize> = work.iter().filter_map(|work| work.voucher).collect();
    assert_eq!(vouchers.len(), work.len(), "{work:?}");
    assert!(vouchers.iter().all(|voucher| *voucher == vouchers[0]), "{work:?}");
    let voucher = &timeline.vouchers[vouchers[0]];
    assert_eq!(voucher.boosts, pid);
    let bands = timeline.vouchers.iter().filter(|voucher| voucher.boosts == pid).count();
    assert_eq!(bands, 1, "{:?}", timeline.vouchers);
    let end = voucher.to.expect("the voucher dies");

    // It lives from before the first submission to after the last work, and each piece is submitted while it lives.
    let last = work.iter().filter_map(|work| work.ended).max().expect("the work is done");
    let first = work.iter().map(|work| work.submitted).min().expect("there is work");
    assert!(voucher.from <= first && last <= end, "{voucher:?} {work:?}");
    for pair in work.windows(2) {
        assert!(pair[0].ended <= pair[1].begun || pair[0].worker != pair[1].worker, "{pair:?}");
    }
    // The boost ends with the last work, and not with the handler.
    let boosts = timeline.boosts.iter().filter(|boost| boost.pid == pid);
    let gone = boosts.filter(|boost| boost.boosts == 0).map(|boost| boost.time).max().expect("the boost ends");
    assert!(gone >= last, "not before the last work: {gone} {last}");

    let page = fs::read_to_string(place.0.join("relay.html")).expect("the page is there");
    for label in ["relay", "decode", "encode"] {
        assert!(page.contains(&format!(r#""label":"{label}""#)), "{label}");
    }
}
