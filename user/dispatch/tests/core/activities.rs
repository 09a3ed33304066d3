//! Activities (dispatch 10.F).

use super::support::*;
use super::vouchers::send_with_user_data;
use dispatch::activity::*;
use dispatch::sys::Kernel;
use dispatch::sys::mock::TaskSpec;
use dispatch::voucher;
use std::collections::BTreeSet;
use std::sync::Arc;

// covers dispatch AE-76
#[test]
fn an_activity_without_a_parent_is_known_by_its_creator_and_takes_effect_by_adoption() {
    let app = app();
    for round in 0..2 {
        let created = create_voucher(Parent::None, ActivityMode::empty(), b"");
        let Identity { activity, creator, parent } = created.identity();
        assert!(!activity.is_none() && parent.is_none());
        assert_eq!(creator, app.mock.unique_pid(), "round {round}");
        assert_eq!(current(), Identity::NONE);
        assert_eq!(Activity::current_id(), (ActivityId::NONE, ActivityId::NONE));
    }
}

// covers dispatch AE-77
#[test]
fn a_child_has_its_parent_and_the_modes_of_its_parent() {
    let _app = app();
    let parent = create_voucher(Parent::None, ActivityMode::INFO | ActivityMode::LIVE_STREAM, b"");
    voucher::replace(Some(parent.clone()));
    let child = create_voucher(Parent::Current, ActivityMode::DEBUG, b"").identity();
    let parent = parent.identity().activity;
    assert_eq!(child.parent, parent);
    assert!(child.activity.mode().contains(parent.mode()));
    assert_eq!(child.activity.mode(), ActivityMode::INFO | ActivityMode::DEBUG | ActivityMode::LIVE_STREAM);
}

// covers dispatch AE-78
#[test]
fn ids_come_in_blocks_of_sixteen_and_none_repeats() {
    let app = app();
    let other = another(&app, TaskSpec::DAEMON);
    let create = |count| -> Vec<u64> {
        (0..count).map(|_| create_voucher(Parent::None, ActivityMode::empty(), b"").identity().activity.0).collect()
    };
    let ids = create(17);
    for (index, pair) in ids[..16].windows(2).enumerate() {
        assert_eq!(pair[1], pair[0] + 1, "id {index}");
    }
    assert!(ids[..16].iter().all(|id| id >> 4 == ids[0] >> 4));
    assert_ne!(ids[16] >> 4, ids[0] >> 4);
    let others = other.run(|| create(40));
    let all: BTreeSet<u64> = ids.iter().chain(&others).copied().collect();
    assert_eq!(all.len(), 57);
}

// covers dispatch AE-81
#[test]
fn user_data_without_the_magic_are_no_activity() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let port = app.port_of(&daemon);
    app.run(|| send_with_user_data(&app, port, &[0x11; 32]));
    voucher::replace(daemon.receive_voucher());
    assert_eq!(current(), Identity::NONE);
    let name = voucher::copy().expect("it has a voucher").kernel_name();
    assert_eq!(daemon.mock.content(name).user_data, None);
    app.run(|| send_with_user_data(&app, port, &[0x11; 16]));
    voucher::replace(daemon.receive_voucher());
    assert_eq!(current(), Identity::NONE);
    let name = voucher::copy().expect("it has a voucher").kernel_name();
    assert_eq!(daemon.mock.content(name).user_data, Some(vec![0x11; 16]), "left as they are");
}

#[test]
fn user_data_with_the_magic_but_no_id_are_no_activity() {
    let (app, daemon) = app_and_daemon();
    daemon.process.enter();
    let port = app.port_of(&daemon);
    let mut data = [0; 32];
    data[..4].copy_from_slice(&[0xfa, 0xce, 0x90, 0x03]);
    app.run(|| send_with_user_data(&app, port, &data));
    let received = daemon.receive_voucher().expect("it has a voucher");
    assert!(received.identity().is_none());
    assert_eq!(daemon.mock.content(received.kernel_name()).user_data, None);
}

#[test]
fn the_wire_form_is_as_specified() {
    let (app, daemon) = app_and_daemon();
    app.process.enter();
    let parent = create_voucher(Parent::None, ActivityMode::INFO, b"");
    let child = create_voucher(Parent::Of(&parent), ActivityMode::empty(), b"");
    let name = app.send(app.port_of(&daemon), Some(&child)).expect("it is sent");
    let data = app.mock.content(name).user_data.expect("it has an activity");
    let word = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().expect("8 bytes"));
    assert_eq!(data.len(), 32);
    assert_eq!(data[..8], [0xfa, 0xce, 0x90, 0x03, 0, 0, 0, 0]);
    assert_eq!(word(8), child.identity().activity.0);
    assert_eq!(word(16), app.mock.unique_pid());
    assert_eq!(word(24), parent.identity().activity.0);
}

#[test]
fn an_activity_keeps_creator_and_parent_on_its_way() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    let sent = app.run(|| {
        let parent = create_voucher(Parent::None, ActivityMode::empty(), b"");
        let child = create_voucher(Parent::Of(&parent), ActivityMode::empty(), b"");
        app.send(port, Some(&child)).expect("it is sent");
        child.identity()
    });
    daemon.process.enter();
    voucher::replace(daemon.receive_voucher());
    assert_eq!(current(), sent);
    assert_eq!(sent.creator, app.mock.unique_pid());
}

// covers dispatch AE-83
#[test]
fn nested_scopes_restore_what_was_before_each() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.run(|| app.send(port, None)).expect("it is sent");
    daemon.process.enter();
    let original = daemon.receive_voucher().expect("it has a voucher");
    voucher::replace(Some(original.clone()));
    let outer = Activity::create("outer", Parent::Current, ActivityFlags::empty());
    let scope = outer.scope();
    assert_eq!(current(), outer.identity());
    let inner = Activity::create("inner", Parent::Current, ActivityFlags::empty());
    assert_eq!(inner.identity().parent, outer.identity().activity);
    let inner_scope = inner.scope();
    assert_eq!(Activity::current_id(), (inner.identity().activity, outer.identity().activity));
    drop(inner_scope);
    assert_eq!(current(), outer.identity());
    drop(scope);
    assert_eq!(current(), Identity::NONE);
    assert!(voucher::is_current(Some(&original)));
}

#[test]
fn apply_works_for_the_activity_and_returns() {
    let _app = app();
    let activity = Activity::create("work", Parent::None, ActivityFlags::empty());
    assert_eq!(activity.apply(current), activity.identity());
    assert_eq!(current(), Identity::NONE);
}

#[test]
fn flags_detach_an_activity_or_use_the_present_one() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.run(|| app.send(port, None)).expect("it is sent");
    daemon.process.enter();
    voucher::replace(daemon.receive_voucher());
    let first = Activity::create("first", Parent::Current, ActivityFlags::IF_NONE_PRESENT);
    assert!(first.voucher().has_importance(), "a new one, since there was none");
    let _scope = first.scope();
    let same = Activity::create("same", Parent::None, ActivityFlags::IF_NONE_PRESENT);
    assert!(Arc::ptr_eq(same.voucher(), first.voucher()));
    let detached = Activity::create("detached", Parent::Current, ActivityFlags::DETACHED);
    assert!(detached.identity().parent.is_none() && !detached.voucher().has_importance());
    assert_eq!(detached.voucher().kernel_name().0, 0);
    let records = daemon.process.activities.trace.records();
    let last = records.last().expect("there are records");
    assert_eq!(last.current, first.identity(), "the creator's activity is only in the trace");
    let event = Event::Created { activity: detached.identity().activity, data: (*b"detached").into() };
    assert_eq!(last.event, event);
}

#[test]
fn an_activity_of_a_boosted_voucher_prolongs_the_boost() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.run(|| app.send(port, None)).expect("it is sent");
    daemon.process.enter();
    let before = daemon.counts();
    let received = daemon.receive_voucher().expect("it has a voucher");
    let activity = create_voucher(Parent::Of(&received), ActivityMode::empty(), b"");
    let child = create_voucher(Parent::Of(&activity), ActivityMode::empty(), b"");
    drop((received, activity));
    assert!(daemon.mock.is_boosted());
    drop(child);
    assert!(!daemon.mock.is_boosted());
    assert_eq!((daemon.counts().2, daemon.counts().3), (before.2, before.3));
}

#[test]
fn precise_times_are_a_mode_of_all_later_activities() {
    let app = app();
    app.process.activities.set_precise_times(true);
    let activity = create_voucher(Parent::None, ActivityMode::INFO, b"").identity().activity;
    assert_eq!(activity.mode(), ActivityMode::INFO | ActivityMode::PRECISE_TIMES);
}

#[test]
fn the_trace_keeps_the_latest_records() {
    let app = app();
    trace(b"first");
    app.mock.advance(5);
    let activity = Activity::create("work", Parent::None, ActivityFlags::empty());
    activity.apply(|| trace(b"within"));
    let records = app.process.activities.trace.records();
    assert_eq!(records.len(), 3);
    assert_eq!(records[1].time, records[0].time + 5);
    assert_eq!(records[2].event, Event::Note((*b"within").into()));
    assert_eq!(records[2].current, activity.identity());
    (0..300).for_each(|number: u32| trace(&number.to_le_bytes()));
    let records = app.process.activities.trace.records();
    assert_eq!(records.len(), 256);
    assert_eq!(records[255].event, Event::Note(299u32.to_le_bytes().into()));
    app.process.activities.trace.enable(false);
    trace(b"not kept");
    assert_eq!(app.process.activities.trace.records().last(), records.last());
}

#[test]
#[should_panic(expected = "too many bytes")]
fn too_much_for_a_record_ends_the_program() {
    let _app = app();
    trace(&[0; TRACE_DATA_MAX + 1]);
}
