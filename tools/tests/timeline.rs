//! Timelines of events that are made by hand: what is read of them, what boosts follow from, and what is written.

use abi::event::{EventRecord, kind, note};
use abi::inspect::{MESSAGE_LINKED, MESSAGE_RAISED, boost};
use prost::Message as _;
use tools::timeline::model::{Timeline, Voucher, why};
use tools::timeline::{page, perfetto, record};
use zerocopy::IntoBytes;

const APP: u64 = 3;
const DAEMON: u64 = 5;
const PORT: u64 = 1 << 32 | 19;
const MESSAGE: u64 = 7 << 32 | 4;
const VOUCHER: u64 = 3 << 32 | 2;
const INHERIT: u64 = 1 << 32 | 6;
/// A voucher whose number is no number of JavaScript's.
const GREAT_VOUCHER: u64 = u64::MAX;

/// Events of a script, each a time, the acting thread, a kind and arguments. Threads have the numbers of their tasks.
fn events(script: &[(u64, u64, u16, &[u64])]) -> Vec<EventRecord> {
    let event = |&(time, thread, kind, first): &(u64, u64, u16, &[u64])| {
        let mut arguments = [0; 5];
        arguments[..first.len()].copy_from_slice(first);
        EventRecord { time, thread, kind, cpu: 0, lost: 0, arguments }
    };
    script.iter().map(event).collect()
}

fn name(text: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    u64::from_le_bytes(bytes)
}

/// The beginning of each story: an app and a daemon.
fn cast() -> Vec<EventRecord> {
    events(&[
        (10, 1, kind::TASK_BEGUN, &[APP, 1, name("photos")]),
        (10, 1, kind::THREAD_BEGUN, &[APP, APP]),
        (20, 1, kind::TASK_BEGUN, &[DAEMON, 1, name("imaged")]),
        (20, 1, kind::THREAD_BEGUN, &[DAEMON, DAEMON]),
    ])
}

/// The app's message is received with a voucher, whose inherit has its boost then.
fn boosted() -> Vec<EventRecord> {
    let flags = (MESSAGE_LINKED | MESSAGE_RAISED).into();
    let rest = events(&[
        (100, APP, kind::MESSAGE_SENT, &[MESSAGE, PORT, 77, 0, flags]),
        (100, APP, kind::MESSAGE_QUEUED, &[MESSAGE, PORT, 0]),
        (100, APP, kind::BOOST_ADDED, &[DAEMON, 1, 0, boost::PORT.into(), PORT]),
        (200, DAEMON, kind::MESSAGE_RECEIVED, &[MESSAGE, PORT, DAEMON, VOUCHER, 0]),
        // A message and a voucher of the same step that have nothing to do with it come later.
        (200, DAEMON, kind::MESSAGE_SENT, &[MESSAGE + 1, PORT + 1, 78, 0, 0]),
    ]);
    let made = events(&[(200, DAEMON, kind::VOUCHER_CREATED, &[VOUCHER])]);
    let moved = events(&[
        (200, DAEMON, kind::VOUCHER_CREATED, &[GREAT_VOUCHER]),
        (200, DAEMON, kind::BOOST_MOVED, &[DAEMON, 1, 1, INHERIT, PORT]),
    ]);
    [cast(), rest[..3].to_vec(), made, rest[3..].to_vec(), moved].concat()
}

#[test]
fn a_boost_is_tied_to_its_message_and_its_voucher() {
    let end = events(&[
        (300, DAEMON, kind::VOUCHER_DIED, &[VOUCHER]),
        (300, DAEMON, kind::BOOST_DROPPED, &[DAEMON, 0, 0, boost::INHERIT.into(), INHERIT]),
    ]);
    let timeline = Timeline::of(&[boosted(), end].concat());
    let [added, moved, dropped] = &timeline.boosts[..] else { panic!("{:?}", timeline.boosts) };
    assert_eq!((added.change, added.why, added.boosts), ("added", why::SENT, 1));
    assert_eq!((moved.change, moved.why, moved.external), ("moved", why::RECEIVED, 1));
    assert_eq!((dropped.change, dropped.why, dropped.boosts), ("dropped", why::VOUCHER, 0));
    assert_eq!([added.message, moved.message, dropped.message], [Some(0); 3]);
    assert_eq!([added.voucher, moved.voucher, dropped.voucher], [None, Some(0), Some(0)]);
    assert_eq!([added.origin, moved.origin, dropped.origin], [None, Some(0), Some(1)]);
    assert_eq!([added.source, moved.source, dropped.source], [None; 3], "the app donates by itself");
    let message = &timeline.messages[0];
    assert_eq!((message.sender, message.receiver, message.fate), (APP, Some(DAEMON), "received"));
    let voucher = &timeline.vouchers[0];
    assert_eq!((voucher.boosts, voucher.from, voucher.to), (DAEMON as u32, 200, Some(300)));
    assert_eq!(timeline.who(5), "imaged (pid 5)");
}

#[test]
fn a_boost_that_ends_with_its_sender_is_no_end_of_the_voucher() {
    let policy = events(&[
        (300, 1, kind::POLICY_CHANGED, &[APP, 0, 0]),
        (300, 1, kind::VOUCHER_DIED, &[GREAT_VOUCHER]),
        (300, 1, kind::BOOST_DROPPED, &[DAEMON, 0, 0, boost::INHERIT.into(), INHERIT]),
        (400, 1, kind::BOOST_ADDED, &[DAEMON, 1, 1, boost::INHERIT.into(), INHERIT]),
    ]);
    let timeline = Timeline::of(&[boosted(), policy].concat());
    let (dropped, again) = (&timeline.boosts[2], &timeline.boosts[3]);
    assert_eq!((dropped.why, dropped.voucher, dropped.origin), (why::NO_DONOR, Some(0), Some(1)));
    assert_eq!((again.why, again.voucher, again.origin), (why::DONOR, Some(0), Some(2)));
    assert_eq!(timeline.policies.len(), 1);
}

#[test]
fn a_chain_leads_from_a_helper_to_the_boost_of_its_client() {
    const HELPER: u64 = 6;
    let flags = (MESSAGE_LINKED | MESSAGE_RAISED).into();
    let through = |inherit: u64| [boost::INHERIT.into(), inherit];
    let rest = events(&[
        (210, 1, kind::TASK_BEGUN, &[HELPER, 1, name("codecd")]),
        (250, DAEMON, kind::MESSAGE_SENT, &[MESSAGE + 2, PORT + 2, 79, VOUCHER, flags]),
        (250, DAEMON, kind::BOOST_ADDED, &[HELPER, 1, 0, boost::PORT.into(), PORT + 2]),
        (260, HELPER, kind::VOUCHER_CREATED, &[VOUCHER + 1]),
        (260, HELPER, kind::MESSAGE_RECEIVED, &[MESSAGE + 2, PORT + 2, HELPER, VOUCHER + 1, 0]),
        (260, HELPER, kind::BOOST_MOVED, &[HELPER, 1, 1, INHERIT + 1, PORT + 2]),
        (300, 1, kind::VOUCHER_DIED, &[VOUCHER]),
        (300, 1, kind::BOOST_DROPPED, &[DAEMON, 0, 0, through(INHERIT)[0], INHERIT]),
        (300, 1, kind::BOOST_DROPPED, &[HELPER, 0, 0, through(INHERIT + 1)[0], INHERIT + 1]),
    ]);
    let boosts = Timeline::of(&[boosted(), rest].concat()).boosts;
    assert_eq!((boosts[2].why, boosts[2].source), (why::SENT, Some(1)), "imaged donates because of its own boost");
    assert_eq!((boosts[4].why, boosts[4].source), (why::VOUCHER, None));
    assert_eq!((boosts[5].why, boosts[5].source), (why::NO_DONOR, Some(4)), "codecd loses its boost with imaged");
    assert_ne!(boosts[5].voucher, boosts[4].voucher, "it still holds its own voucher");
}

#[test]
fn a_boost_passes_to_a_voucher_that_was_made_from_the_one_that_came() {
    const DERIVED: u64 = VOUCHER + 7;
    let rest = events(&[
        (210, DAEMON, kind::VOUCHER_CREATED, &[DERIVED, INHERIT]),
        (210, DAEMON, kind::VOUCHER_CREATED, &[DERIVED + 1, INHERIT + 1]),
        (220, DAEMON, kind::VOUCHER_DIED, &[VOUCHER]),
        (300, DAEMON, kind::VOUCHER_DIED, &[DERIVED]),
        (300, DAEMON, kind::BOOST_DROPPED, &[DAEMON, 0, 0, boost::INHERIT.into(), INHERIT]),
    ]);
    let timeline = Timeline::of(&[boosted(), rest].concat());
    let end = timeline.boosts.last().expect("the boost ends");
    let band = &timeline.vouchers[end.voucher.expect("a voucher")];
    assert_eq!((end.why, band.number, band.to, band.boosts), (why::VOUCHER, DERIVED, Some(300), DAEMON as u32));
}

#[test]
fn a_message_that_waits_becomes_a_boost_when_its_sender_becomes_a_donor() {
    let linked = MESSAGE_LINKED.into();
    let waiting = events(&[
        (100, APP, kind::MESSAGE_SENT, &[MESSAGE, PORT, 77, 0, linked]),
        (150, DAEMON, kind::MESSAGE_SENT, &[MESSAGE + 1, PORT, 77, 0, linked]),
        (300, 1, kind::POLICY_CHANGED, &[APP, 0, 1]),
        (300, 1, kind::BOOST_ADDED, &[DAEMON, 1, 0, boost::PORT.into(), PORT]),
        (400, DAEMON, kind::MESSAGE_DESTROYED, &[MESSAGE, PORT]),
        (400, DAEMON, kind::BOOST_DROPPED, &[DAEMON, 0, 0, boost::PORT.into(), PORT]),
    ]);
    let timeline = Timeline::of(&[cast(), waiting].concat());
    let [added, dropped] = &timeline.boosts[..] else { panic!("{:?}", timeline.boosts) };
    assert_eq!((added.why, added.message), (why::DONOR, Some(0)), "not the message of the other sender");
    assert_eq!((dropped.why, dropped.message, dropped.origin), (why::MESSAGE, Some(0), Some(0)));
    assert!(timeline.messages[0].raised && !timeline.messages[1].raised);
}

#[test]
fn a_thread_runs_from_its_choice_to_its_wait_and_waits_for_a_processor_in_between() {
    let script = events(&[
        (100, 0, kind::THREAD_CHOSEN, &[APP, 47]),
        (150, APP, kind::THREAD_WOKEN, &[DAEMON]),
        (160, 0, kind::PRIORITY_CHANGED, &[DAEMON, 4, 31]),
        (180, 0, kind::THREAD_PREEMPTED, &[APP, DAEMON]),
        (180, 0, kind::THREAD_CHOSEN, &[DAEMON, 31]),
        (250, DAEMON, kind::THREAD_BLOCKED, &[DAEMON, 2, PORT]),
        (250, DAEMON, kind::TIME_CHARGED, &[DAEMON, 70, APP, DAEMON]),
        (250, 0, kind::THREAD_CHOSEN, &[APP, 47]),
        (300, 0, kind::TASK_ENDED, &[APP]),
    ]);
    let timeline = Timeline::of(&[cast(), script].concat());
    let runs = |thread: u64| -> Vec<(u64, u64, u64)> {
        timeline.threads[&thread].runs.iter().map(|run| (run.from, run.to, run.priority)).collect()
    };
    assert_eq!(runs(APP), [(100, 180, 47), (250, 300, 47)], "the last run ends with the recording");
    assert_eq!(runs(DAEMON), [(180, 250, 31)]);
    assert_eq!(timeline.threads[&APP].ready, [(10, 100), (180, 250)]);
    assert_eq!(timeline.threads[&DAEMON].ready, [(20, 180)]);
    assert_eq!(timeline.threads[&DAEMON].bases, [(0, 4), (160, 31)]);
    assert_eq!((timeline.charges[0].nanos, timeline.charges[0].holder), (70, APP as u32));
    assert_eq!(timeline.tasks[&(APP as u32)].ended, Some(300));
}

#[test]
fn an_adoption_ends_with_the_next_one() {
    let script = events(&[
        (100, APP, kind::VOUCHER_CREATED, &[VOUCHER]),
        (110, APP, kind::VOUCHER_ADOPTED, &[VOUCHER, APP]),
        (150, APP, kind::VOUCHER_ADOPTED, &[0, APP]),
    ]);
    let timeline = Timeline::of(&[cast(), script].concat());
    let Voucher { adopted, to, .. } = &timeline.vouchers[0];
    assert_eq!((&adopted[..], to), (&[(APP, 110, Some(150))][..], &None));
}

#[test]
fn work_of_a_queue_holds_a_voucher_from_its_submission_to_its_end() {
    const QUEUE: u64 = 2;
    let script = events(&[
        (90, APP, kind::NOTE, &[note::QUEUE_NAMED, QUEUE, name("decode"), 0, 0]),
        (100, APP, kind::VOUCHER_CREATED, &[VOUCHER]),
        (110, APP, kind::NOTE, &[note::WORK_SUBMITTED, 7, QUEUE, 0x10ff, VOUCHER]),
        (120, DAEMON, kind::NOTE, &[note::WORK_DONE, 7, QUEUE, 0, 0]),
        (130, APP, kind::NOTE, &[note::WORK_BEGUN, 7, QUEUE, 0x08ff, VOUCHER]),
        (140, APP, kind::NOTE, &[note::WORK_SUBMITTED, 8, QUEUE, 0, 0]),
        (150, APP, kind::NOTE, &[note::WORK_DONE, 7, QUEUE, 0, 0]),
        (160, APP, kind::NOTE, &[note::WORK_DROPPED, 8, QUEUE, 0, 0]),
    ]);
    let script = [cast(), script].concat();
    let timeline = Timeline::of(&script);
    let [done, dropped] = &timeline.work[..] else { panic!("{:?}", timeline.work) };
    assert_eq!((done.submitted, done.begun, done.ended, done.dropped), (110, Some(130), Some(150), false));
    assert_eq!((done.voucher, done.class, done.worker), (Some(0), "default", Some(APP)));
    assert_eq!((dropped.begun, dropped.ended, dropped.dropped, dropped.voucher), (None, Some(160), true, None));
    assert_eq!(timeline.label(APP as u32, QUEUE), "decode");
    assert_eq!(timeline.label(DAEMON as u32, QUEUE), "2", "queues have their numbers from their task");
    let page = page::render(&timeline, "work");
    assert!(page.contains(r#""label":"decode""#) && page.contains(r#""class":"default""#));
    let trace = perfetto::Trace::decode(&perfetto::encode(&timeline, &script)[..]).expect("it can be read");
    let slices = trace.packet.iter().filter_map(|packet| packet.track_event.as_ref());
    let of_work = slices.filter(|event| event.categories.iter().any(|category| category == "work"));
    assert_eq!(of_work.filter_map(|event| event.name.clone()).collect::<Vec<_>>(), ["work 7 on decode"]);
}

#[test]
fn events_are_read_as_they_were_written() {
    let mut written = boosted();
    written[3].lost = 9;
    let bytes: Vec<u8> = written.iter().flat_map(|event| event.as_bytes().to_vec()).collect();
    assert_eq!(record::decode(&bytes).as_ref(), Ok(&written));
    assert_eq!(
        record::decode(&bytes[..bytes.len() - 1]),
        Err(record::Truncated { bytes: size_of::<EventRecord>() - 1 })
    );
    assert_eq!(Timeline::of(&written).lost, 9);
    assert_eq!(Timeline::of(&[]), Timeline::default());
}

#[test]
fn numbers_of_objects_stay_exact_in_the_page() {
    let page = page::render(&Timeline::of(&boosted()), "A title: demo </script>");
    assert!(page.contains(&format!(r#""number":"{}.{}""#, u32::MAX, u32::MAX)), "a text, not a number");
    assert!(page.contains(r#""port":"19.1""#));
    assert!(page.contains("<title>A title: demo /script</title>"));
    for place in ["/*DATA*/", "/*STYLE*/", "/*SCRIPT*/", "<!--TITLE-->"] {
        assert!(!page.contains(place), "{place} is still there");
    }
    for foreign in ["http:", "https:", "src=", "@import", "url(h"] {
        assert!(
            !page.replace("http://www.w3.org/2000/svg", "").contains(foreign),
            "{foreign}: a page needs no network"
        );
    }
}

#[test]
fn the_name_of_a_program_ends_no_script() {
    let hostile = events(&[(10, 1, kind::TASK_BEGUN, &[9, 1, name("</script"), name("><b>")])]);
    let page = page::render(&Timeline::of(&hostile), "x");
    assert_eq!(page.matches("</script").count(), 1);
    assert!(page.contains(r#""name":"\u003c/script>\u003cb>""#));
}

#[test]
fn a_slice_without_length_is_a_moment_in_the_trace_file() {
    let script = events(&[
        (100, APP, kind::VOUCHER_CREATED, &[VOUCHER]),
        (100, APP, kind::VOUCHER_DIED, &[VOUCHER]),
        (100, APP, kind::VOUCHER_CREATED, &[VOUCHER + 1]),
        (200, APP, kind::VOUCHER_DIED, &[VOUCHER + 1]),
    ]);
    let trace = perfetto::encode(&Timeline::of(&script), &script);
    let trace = perfetto::Trace::decode(&trace[..]).expect("it can be read");
    let of_vouchers = |kind: i32| {
        let events = trace.packet.iter().filter_map(|packet| packet.track_event.as_ref());
        events.filter(|event| event.r#type == Some(kind) && event.categories == ["voucher"]).count()
    };
    assert_eq!((of_vouchers(perfetto::INSTANT), of_vouchers(perfetto::SLICE_BEGIN)), (1, 1));
}
