//! The crate gives the answers that were recorded of the reference, and the replayer detects every difference.

#[path = "../examples/replay/replayer/mod.rs"]
mod replayer;
mod trace_files;

use replayer::{explain, replay};
use serde_json::Value;
use std::collections::BTreeSet;
use trace_files::*;

/// The number of traces in the selection.
const SELECTED_TRACES: usize = 109;

/// Returns the files of the selection in the repository.
fn selection() -> Vec<TraceFile> {
    selected("tests/traces")
}

/// Replays traces, which must all pass, and returns their number.
fn replay_all(traces: &[TraceFile]) -> usize {
    let mut total = replayer::Report::default();
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
    if let Some(traces) = shared("vouchers") {
        assert!(replay_all(&traces) >= SELECTED_TRACES);
    }
}

#[test]
fn the_selection_covers_every_operation_and_every_key() {
    let texts = selection();
    let lines: Vec<Value> = texts.iter().flat_map(|(_, text)| lines(text)).collect();
    let ops: BTreeSet<&str> = lines.iter().filter_map(|line| line["op"].as_str()).collect();
    let expected = "activity_id attr_command bank_adopt bank_balance bank_exit bank_preadopt bank_switch bank_task begin \
                    control_get_values control_release control_retain convert_port create create_raw debug_info \
                    default_voucher dump end extract_all extract_content extract_recipe from_port hook host_register \
                    port_release pthpriority_from_message receive_postprocess register release retain send_preprocess \
                    test_make test_unmake to_port";
    assert_eq!(ops, expected.split_whitespace().collect());
    let recipes = lines.iter().flat_map(|line| line["recipes"].as_array().into_iter().flatten());
    let keys: BTreeSet<u64> = recipes.filter_map(|recipe| recipe["key"].as_u64()).collect();
    assert!(keys.is_superset(&(0..=9).chain([0xFFFF_FFFF]).collect()));
}

/// A short trace with correct answers.
const GOOD: &str = concat!(
    r#"{"op":"begin","name":"good","why":"test","build":"release","managers":[{"key":8,"manager":"counter","default":"0x0"}],"#,
    r#""expect":{"register_kr":[0]}}"#,
    "\n",
    r#"{"op":"create","via":"host","recipes":[{"key":8,"command":1000,"prev":"null","content":"0500000000000000"}],"#,
    r#""expect":{"kr":0,"voucher":"v1","refs":1,"attrs":{"8":"0x5"},"array_size":24,"calls":[{"manager":"counter","#,
    r#""key":8,"fn":"get_value","command":1000,"prev":[],"content":"0500000000000000","ret":0,"value":"0x5","flags":0}],"#,
    r#""died":[],"state":{"vouchers":1,"values":{"8":1},"user_data_elements":0}}}"#,
    "\n",
    r#"{"op":"release","voucher":"v1","expect":{"refs":0,"calls":[{"manager":"counter","key":8,"fn":"release_value","#,
    r#""value":"0x5","sync":1,"made":1,"ret":0}],"died":["v1"],"state":{"vouchers":0,"values":{"8":0},"#,
    r#""user_data_elements":0}}}"#,
    "\n",
    r#"{"op":"end","expect":{"activity":1,"calls":[],"died":[],"state":{"vouchers":0,"values":{"8":0},"#,
    r#""user_data_elements":0}}}"#,
    "\n",
);

/// Replays the good trace with one text replaced by another, and returns the mismatches.
fn replay_with(text: &str, replacement: &str) -> Vec<String> {
    let seeded = GOOD.replacen(text, replacement, 1);
    assert_ne!(seeded, GOOD, "{text} occurs");
    let report = replay("file", &seeded);
    assert_eq!((report.passed, report.failed > 0), (0, true), "{replacement}: {report:?}");
    report.mismatches
}

#[test]
fn a_mismatch_names_trace_line_field_and_both_values() {
    let report = replay("file", GOOD);
    assert_eq!((report.passed, report.failed, report.mismatches), (1, 0, vec![]));
    let expected = [
        (r#""refs":1"#, r#""refs":2"#, "file:2: good: refs: expected 2, got 1"),
        (r#""refs":1,"#, "", "file:2: good: refs: expected nothing, got 1"),
        (r#""kr":0"#, r#""kr":0,"more":1"#, "file:2: good: more: expected 1, got nothing"),
        (r#""died":["v1"]"#, r#""died":["v1","v2"]"#, "file:3: good: died[1]: expected \"v2\", got nothing"),
        (r#""sync":1"#, r#""sync":7"#, "file:3: good: calls[0].sync: expected 7, got 1"),
        (r#""values":{"8":0}"#, r#""values":{"8":1}"#, "file:3: good: state.values.8: expected 1, got 0"),
        (r#""activity":1"#, r#""activity":2"#, "file:4: good: activity: expected 2, got 1"),
        (r#""register_kr":[0]"#, r#""register_kr":[4]"#, "file:1: good: register_kr[0]: expected 4, got 0"),
    ];
    for (text, replacement, mismatch) in expected {
        assert_eq!(replay_with(text, replacement), [mismatch]);
    }
}

#[test]
fn a_file_that_is_not_a_trace_is_reported() {
    let cases = [
        (r#"{"op":"end""#, r#"{"op":"dance""#, "file:4: good: activity: expected 1, got nothing"),
        (r#"{"op":"release""#, r#"{"op":release"#, "file:3: good: not a line of a trace: expected value"),
        (r#"{"op":"begin""#, r#"{"op":"began""#, "file:1: ?: a line outside a trace"),
        ("{\"op\":\"end\"", "\n{\"op\":\"dump\"", "file: good: the trace has no end"),
    ];
    for (text, replacement, mismatch) in cases {
        let found = replay_with(text, replacement);
        assert!(found.iter().any(|found| found.starts_with(mismatch)), "{found:?}");
    }
}

/// Seeds an error in each kind of field of each operation once. The replayer must report it, unless the field mirrors
/// the layout of the reference.
#[test]
fn an_error_in_any_field_of_any_operation_is_reported() {
    let optional = ["slots", "slot", "sum", "table_size", "array_size", "ports"];
    let mut tried = BTreeSet::new();
    for (_, traces) in selection().iter().filter(|(file, _)| ["bank.jsonl", "scenarios.jsonl"].contains(&&**file)) {
        for trace in split(traces) {
            let of_line = |(at, line): (usize, &Value)| {
                let mut found = Vec::new();
                leaves(&line["expect"], "", &mut found);
                found.into_iter().map(move |path| (at, path)).collect::<Vec<_>>()
            };
            for (at, path) in trace.iter().enumerate().flat_map(of_line) {
                let kind: String = path.chars().filter(|char| !char.is_ascii_digit()).collect();
                let new = tried.insert((trace[at]["op"].to_string(), kind));
                if !new || path == "/panic" {
                    continue;
                }
                let mut seeded = trace.clone();
                let place = seeded[at]["expect"].pointer_mut(&path).expect("the path of a leaf is valid");
                *place = altered(place);
                let text = text(&seeded);
                let report = replay("file", &text);
                let ignored = optional.iter().any(|field| path.split('/').any(|part| part == *field));
                assert_eq!((report.passed, report.failed), (ignored as usize, !ignored as usize), "{path}: {text}");
            }
        }
    }
    assert!(tried.len() > 200, "only {} kinds of fields were tried", tried.len());
}

#[test]
fn only_the_excused_behaviour_passes_where_the_reference_panics() {
    for name in ["register-duplicate-panics", "control-release-panics"] {
        let whole = text(&scenario(&selection(), name));
        assert_eq!(replay("file", &whole).passed, 1, "{name}");
        // With another key the excused answer is wrong, and must be reported.
        let elsewhere = replay("file", &whole.replace(r#""key":7"#, r#""key":6"#)).mismatches;
        assert!(elsewhere.iter().any(|found| found.contains(": (")), "{elsewhere:?}");
    }
}

#[test]
fn a_trace_can_be_told_in_plain_words() {
    let expected = "\
good: test
        The managers: counter for key 8.
     2  A voucher is created through \"host\": command 1000 for key 8. The result is v1, where key 8 is 0x5. \
                    References: 1.
          The manager counter of key 8 is asked for a value, and names 0x5.
     3  v1 loses a reference. References: 0.
          The manager counter of key 8 is asked to release 0x5 (1 made).
          v1 dies.

";
    assert_eq!(explain(GOOD), expected);
    for (file, text) in selection() {
        let story = explain(&text);
        assert!(!story.contains("Unknown operation"), "{file}");
    }
}
