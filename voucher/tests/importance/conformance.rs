//! The crate gives the answers that were recorded of the reference, and the replayer detects every difference.

use crate::replayer::{Report, explain, replay};
use crate::trace_files::{self, TraceFile, altered, leaves, lines, split, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// The number of traces in the selection.
const SELECTED_TRACES: usize = 105;

/// Returns the files of the selection in the repository.
fn selection() -> Vec<TraceFile> {
    trace_files::selected("tests/traces/importance")
}

/// Replays traces, which must all pass, and returns their number.
fn replay_all(traces: &[TraceFile]) -> usize {
    let mut total = Report::default();
    traces.iter().for_each(|(file, text)| total.add(replay(file, text)));
    assert_eq!((total.failed, total.mismatches), (0, vec![]));
    total.passed
}

#[test]
fn the_selected_traces_replay_as_recorded() {
    assert_eq!(replay_all(&selection()), SELECTED_TRACES);
}

#[test]
fn all_traces_in_the_shared_folder_replay_as_recorded() {
    if let Some(traces) = trace_files::shared("importance") {
        assert!(replay_all(&traces) >= SELECTED_TRACES);
    }
}

#[test]
fn the_selection_covers_every_operation() {
    let texts = selection();
    let lines: Vec<Value> = texts.iter().flat_map(|(_, text)| lines(text)).collect();
    let ops: BTreeSet<&str> = lines.iter().filter_map(|line| line["op"].as_str()).collect();
    let expected = "advance begin create_voucher describe destroy_port drop drop_external end exec exit ext_bg filelock \
                    fork interrupt legacy list_donating mark mark_donor nap pd_request port receive role send \
                    set_donation set_tempowner sp_request task timer";
    assert_eq!(ops, expected.split_whitespace().collect());
}

/// Returns the trace of the scenarios with this name.
fn scenario(name: &str) -> Vec<Value> {
    trace_files::scenario(&selection(), name)
}

#[test]
fn a_mismatch_names_trace_line_field_and_both_values() {
    let trace = text(&scenario("E2-E4-basic-boost"));
    assert_eq!(replay("file", &trace).passed, 1);
    let name = "E2-E4-basic-boost";
    let cases = [
        (r#""events":[["boost","B"]]"#, r#""events":[]"#, r#"events: expected [], got [["boost","B"]]"#),
        (r#""events":[["boost","B"]],"#, "", r#"events: expected nothing, got [["boost","B"]]"#),
        (r#""voucher_disposition":17"#, r#""voucher_disposition":0"#, "voucher_disposition: expected 0, got 17"),
        (
            r#""made":1,"refs":1,"donating":1"#,
            r#""made":2,"refs":1,"donating":1"#,
            "inherits.i1.made: expected 2, got 1",
        ),
        (r#""gone":{"msgs":["m1"]}"#, r#""gone":{}"#, r#"msgs.m1: expected {"dest":"pB""#),
        (r#""op":"drop""#, r#""op":"dance""#, "unknown operation dance"),
        (r#""op":"end""#, r#""op":"timer""#, "the trace has no end"),
    ];
    for (text, replacement, mismatch) in cases {
        let seeded = trace.replacen(text, replacement, 1);
        assert_ne!(seeded, trace, "{text} occurs");
        let report = replay("file", &seeded);
        assert_eq!((report.passed, report.failed), (0, 1), "{replacement}: {report:?}");
        let found = |found: &String| found.starts_with("file:") && found.contains(&format!("{name}: {mismatch}"));
        assert!(report.mismatches.iter().any(found), "{mismatch}: {:?}", report.mismatches);
    }
}

#[test]
fn a_difference_of_the_state_is_reported_once_and_where_it_begins() {
    let mut trace = scenario("E2-E4-basic-boost");
    let sends = trace.iter().position(|line| line["op"] == "send").expect("a message is sent");
    trace[sends]["expect"]["changed"]["elems"]["A"]["tr"] = Value::from(7);
    let report = replay("file", &text(&trace));
    let expected = format!("file:{}: E2-E4-basic-boost: elems.A.tr: expected 7, got 1", sends + 1);
    assert_eq!(report.mismatches, [expected]);
}

#[test]
fn a_text_that_is_not_a_trace_is_reported() {
    for (text, mismatch) in [
        ("{\"op\":\"exit\",\"task\":\"A\"}\n", "file:1: ?: a line outside a trace"),
        ("{\"op\":begin}\n", "file:1: ?: not a line of a trace: expected value"),
        ("{\"op\":\"begin\",\"name\":\"x\"}\n", "file: x: the trace has no end"),
        ("{\"op\":\"begin\",\"name\":\"x\"}\n{\"op\":\"exit\",\"task\":\"A\"}\n", "file:2: x: there is no task A"),
    ] {
        let report = replay("file", text);
        assert!(report.failed > 0 && report.mismatches[0].starts_with(mismatch), "{:?}", report.mismatches);
    }
}

/// Returns the part of a path that says which kind of field it is: names of objects have digits and capital letters.
fn kind_of_field(path: &str) -> String {
    let is_name = |part: &str| part.contains(|char: char| char.is_ascii_digit() || char.is_uppercase());
    path.split('/').filter(|part| !is_name(part)).collect::<Vec<_>>().join("/")
}

/// Returns the paths of all recorded values of a line.
fn recorded(line: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    for part in ["expect", "state"].into_iter().filter(|part| line.get(part).is_some()) {
        leaves(&line[part], &format!("/{part}"), &mut paths);
    }
    paths
}

/// Seeds an error in each kind of field of each operation once. The replayer must report it at its line.
#[test]
fn an_error_in_any_field_of_any_operation_is_reported() {
    let mut tried = BTreeSet::new();
    let (_, scenarios) = selection().into_iter().find(|(file, _)| file == "scenarios.jsonl").expect("it is selected");
    for trace in split(&scenarios).iter().filter(|trace| trace[0].get("leaves_document_invariants").is_none()) {
        for (at, line) in trace.iter().enumerate() {
            for path in recorded(line).into_iter().filter(|path| !path.ends_with("/panic")) {
                if !tried.insert((line["op"].to_string(), kind_of_field(&path))) {
                    continue;
                }
                let mut seeded = trace[..=at].to_vec();
                let place = seeded[at].pointer_mut(&path).expect("the path of a leaf is valid");
                *place = altered(place);
                let report = replay("file", &text(&seeded));
                let place = format!("file:{}: ", at + 1);
                let found = report.mismatches.iter().any(|found| found.starts_with(&place));
                assert!(found, "{path}: {line}: {:?}", report.mismatches);
            }
        }
    }
    assert!(tried.len() > 300, "only {} kinds of fields were tried", tried.len());
}

/// From the line at which the reference leaves the rules of the specification the crate follows those rules, with all
/// invariants, and before that line both agree.
#[test]
fn a_trace_is_compared_up_to_the_line_at_which_the_reference_breaks_an_invariant() {
    let trace = scenario("E109-failed-send-returns-right");
    let breaks = trace.iter().position(|line| line["expect"].get("violates").is_some()).expect("it breaks one");
    for (at, reported) in [(breaks - 1, true), (breaks, false)] {
        let mut seeded = trace.clone();
        seeded[at]["expect"]["ret"] = Value::from(99);
        assert_eq!(replay("file", &text(&seeded)).failed, usize::from(reported));
    }
}

#[test]
fn a_call_that_stops_the_reference_is_refused() {
    let trace = scenario("mark-receiver-off-with-boosts");
    assert!(trace.last().expect("it has lines")["expect"].get("panic").is_some());
    assert_eq!(replay("file", &text(&trace)).passed, 1);
}

#[test]
fn a_trace_can_be_told_in_plain_words() {
    let story = explain(&text(&scenario("E2-E4-basic-boost")));
    let expected = "\
E2-E4-basic-boost: donor sends, daemon receives with voucher, drops it: boost ends with the voucher
     2  A starts, an application.
          A is a donor.
     3  B starts, an adaptive daemon.
     4  A makes the port pA, which accepts donation.
     5  B makes the port pB, which accepts donation.
     6  A sends a message to pB. The message is m1. B is boosted.
          m1 is linked to A and boosts its port.
          pB has 1 boost.
          B has 1 boost, is a donor.
     7  B receives from pB, with vouchers. It gets m1 with v1.
          m1 is gone.
          pB has 0 boosts.
          i1 is the importance of A in B, holds 1 boost.
          v1 holds the importance i1.
     8  Where does the importance in v1 come from? The text is: Importance for pid 101 (1 of 1 boosts) donated from pid \
                    100.
     9  B drops a reference to v1. B is boosted no more.
          B has 0 boosts, is a donor no more.
          i1 is gone.
          v1 is gone.

";
    assert_eq!(story, expected);
}

#[test]
fn every_line_of_the_selection_can_be_told() {
    for (file, text) in selection() {
        let story = explain(&text);
        assert!(!story.contains("Unknown operation") && !story.contains("means nothing"), "{file}");
        assert!(story.lines().all(|line| !line.contains("null") && !line.contains('{')), "{file}");
    }
}
