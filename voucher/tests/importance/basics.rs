//! One hop (importance 10.1, 10.3, 10.4, 10.9).

use crate::support::fixture;
use crate::world::{Kind, Mode, Send};
use abi::voucher::{MACH_VOUCHER_ATTR_IMPORTANCE_SELF as SELF, MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE};
use voucher::importance::{LivePolicy, Marks, SendMode, Source};
use voucher::{Error, Key};

const IMPORTANCE: u32 = 2;
const USER_DATA: u32 = 7;

// covers importance E7
#[test]
fn a_port_that_begins_to_accept_donation_changes_nothing_for_messages_in_its_queue() {
    let mut f = fixture();
    f.port("q", "B", false);
    f.send("A", "q", 1);
    assert_eq!((f.c("q"), f.refs("A")), (0, 1));
    f.world.set_donation("q");
    assert_eq!((f.c("q"), f.refs("A"), f.a("B")), (0, 1, 0));
    let received = f.receive("B", "q");
    assert_eq!((received.voucher, received.raised, f.a("B")), (None, false, 0));
}

// covers importance E11
#[test]
fn messages_of_one_sender_are_one_voucher_with_all_their_boosts() {
    let mut f = fixture();
    f.send("A", "pB", 3);
    assert_eq!((f.c("pB"), f.a("B"), f.refs("A")), (3, 3, 4));
    let vouchers = [(); 3].map(|()| f.voucher("B", "pB"));
    assert!(vouchers.iter().all(|&voucher| voucher == vouchers[0]));
    let inherit = f.inherit(vouchers[0]);
    assert_eq!((inherit.made(), inherit.refs(), f.inherit_x(vouchers[0])), (3, 1, (3, 0)));
    assert_eq!((f.user_refs("B", vouchers[0]), f.a("B"), f.x("B"), f.refs("A")), (3, 3, (3, 0), 2));
    for _ in 0..2 {
        f.release("B", vouchers[0]);
        assert_eq!(f.a("B"), 3, "the boosts end with the last reference, all together");
    }
    f.release("B", vouchers[0]);
    assert_eq!((f.a("B"), f.x("B"), f.refs("A"), f.inherits()), (0, (0, 0), 1, 0));
    assert_eq!(f.boosts(), ["+B", "-B"]);
}

// covers importance E16
// covers vouchers I-01
#[test]
fn the_own_importance_in_a_voucher_boosts_nobody() {
    let mut f = fixture();
    let own = [(IMPORTANCE, SELF, None, vec![])];
    let voucher = f.world.create_voucher("A", &own).unwrap().unwrap();
    assert_eq!((f.element("A").made(), f.refs("A"), f.boosts()), (1, 2, vec![]));
    assert_eq!(f.world.create_voucher("A", &own), Ok(Some(voucher)));
    assert_eq!((f.element("A").made(), f.refs("A")), (2, 2));
    f.release("A", voucher);
    f.release("A", voucher);
    assert_eq!((f.element("A").made(), f.refs("A"), f.boosts()), (0, 1, vec![]));
}

// covers importance E17
#[test]
fn the_own_importance_in_a_sent_voucher_is_replaced_by_what_the_receiver_inherits() {
    let mut f = fixture();
    let voucher = f.world.create_voucher("A", &[(IMPORTANCE, SELF, None, vec![])]).unwrap().unwrap();
    let delivered = f.boost_with("A", "B", voucher);
    let inherit = f.inherit(delivered);
    let ends = (inherit.from(), inherit.to(), inherit.depth().word());
    assert_eq!(ends, (Source::Task(f.world.element("A")), f.world.element("B"), 1));
    assert_eq!((f.a("B"), f.refs("A")), (1, 3));
}

// covers importance E18
#[test]
fn a_voucher_with_nothing_but_the_senders_importance_arrives_empty() {
    let mut f = fixture();
    let voucher = f.world.create_voucher("A", &[(IMPORTANCE, SELF, None, vec![])]).unwrap();
    let send = Send { voucher, mode: SendMode::NoImportance, ..Send::default() };
    assert_eq!(f.send_as("A", "pB", send), Some(0));
    let received = f.receive("B", "pB");
    assert_eq!((received.voucher, received.announced, received.raised), (None, true, false));
}

// covers importance E19
#[test]
fn the_other_attributes_of_a_sent_voucher_arrive() {
    let mut f = fixture();
    f.port("q", "B", false);
    let recipes = [(IMPORTANCE, SELF, None, vec![]), (USER_DATA, STORE, None, vec![1, 2])];
    let voucher = f.world.create_voucher("A", &recipes).unwrap().unwrap();
    f.forward("A", "q", voucher);
    let delivered = f.voucher("B", "q");
    let keys: Vec<Key> = f.world.vouchers.registry.attributes(delivered).map(|(key, _)| key).collect();
    assert_eq!(keys, [Key::USER_DATA]);
    let handle = |voucher| f.world.vouchers.registry.handle(voucher, Key::USER_DATA);
    assert_eq!(handle(delivered), handle(voucher));
}

// covers importance E33
#[test]
fn the_element_of_a_task_that_ends_with_boosted_ports_is_freed() {
    let mut f = fixture();
    f.port("q", "B", true);
    f.send("A", "pB", 1);
    f.send("A", "q", 2);
    let element = f.world.element("B");
    f.exit("B");
    assert!(f.world.importance.element(element).is_none());
    assert_eq!(f.refs("A"), 1);
}

/// DV-7: XNU leaves what was linked before the mark as it was.
#[test]
fn a_task_that_becomes_a_donor_at_run_time_raises_its_messages_and_inherits() {
    let mut f = fixture();
    let voucher = f.boost("B", "D");
    f.send("B", "pC", 1);
    assert_eq!((f.a("C"), f.a("D")), (0, 0));
    f.world.mark_donor("B");
    f.world.check();
    assert_eq!((f.a("C"), f.a("D"), f.donates("B"), f.boosted("B")), (1, 1, true, false));
    assert_eq!((f.boosts(), f.inherit(voucher).is_donating()), (vec!["+C".to_owned(), "+D".to_owned()], true));
}

/// DV-8: XNU stops there.
#[test]
fn the_mark_of_a_boosted_receiver_is_not_taken() {
    let mut f = fixture();
    f.boost("A", "B");
    let element = f.world.element("B");
    let before = f.element("B").external();
    let (importance, kernel) = (&mut f.world.importance, &mut f.world.kernel);
    let result = importance.set_marks(kernel, element, Marks::default(), LivePolicy::default());
    assert_eq!(result, Err(Error::Failure));
    f.world.check();
    assert_eq!((f.element("B").external(), f.marks("B"), f.a("B")), (before, Kind::Adaptive.marks(), 1));
    let more = Marks { donor: true, denap: true, ..Kind::Adaptive.marks() };
    let result = f.world.importance.set_marks(&mut f.world.kernel, element, more, LivePolicy::default());
    assert_eq!((result, f.marks("B"), f.a("B")), (Ok(()), more, 1), "other marks can be added");
    f.world.check();
}

// covers importance E60 E61
// covers vouchers I-04 I-06
#[test]
fn an_application_gives_boosts_back_by_hand() {
    let mut f = fixture();
    f.nap("A", true);
    f.send("S", "pA", 3);
    let voucher = [(); 3].map(|()| f.voucher("A", "pA"))[0];
    assert_eq!(f.drop_external("A", voucher, 0), Ok(3));
    assert_eq!(f.drop_external("A", voucher, 4), Err(Error::Failure));
    assert_eq!(f.drop_external("A", voucher, 1), Ok(2));
    assert_eq!((f.a("A"), f.x("A")), (2, (3, 1)));
    assert_eq!(f.drop_external("A", voucher, 2), Ok(0));
    assert_eq!((f.inherit(voucher).is_donating(), f.a("A"), f.x("A")), (false, 0, (0, 0)));
    f.advance(1099);
    assert!(f.boosted("A") && f.p("A") == 47);
    f.advance(1);
    assert!(!f.boosted("A") && !f.donates("A") && f.p("A") == 4);
    assert_eq!(f.user_refs("A", voucher), 3, "the voucher is still valid");
}

// covers importance E62
#[test]
fn a_message_within_the_delay_revives_an_inherit_with_its_history() {
    let mut f = fixture();
    f.nap("A", true);
    f.send("S", "pA", 3);
    let voucher = [(); 3].map(|()| f.voucher("A", "pA"))[0];
    assert_eq!(f.drop_external("A", voucher, 3), Ok(0));
    f.advance(500);
    f.send("S", "pA", 1);
    assert_eq!(f.voucher("A", "pA"), voucher, "the same voucher name");
    assert_eq!((f.inherit_x(voucher), f.inherit(voucher).is_donating(), f.a("A")), ((4, 3), true, 1));
    f.boosts();
    f.advance(2000);
    assert_eq!((f.boosts(), f.boosted("A")), (vec![], true));
}

// covers importance E63
// covers vouchers I-03 I-05
#[test]
fn a_daemon_gives_nothing_back_by_hand() {
    let mut f = fixture();
    let voucher = f.boost("A", "B");
    assert_eq!(f.drop_external("B", voucher, 1), Err(Error::InvalidTask));
    assert_eq!(f.drop_external("B", voucher, 0), Ok(1));
    let own = f.world.create_voucher("A", &[(IMPORTANCE, SELF, None, vec![])]).unwrap().unwrap();
    assert_eq!(f.drop_external("A", own, 0), Err(Error::InvalidArgument));
    let mut command = |command, input: &[u8], room| f.world.command("B", voucher, command, input, room);
    assert_eq!(command(2, &[0; 3], 4), Err(Error::InvalidArgument));
    assert_eq!(command(2, &[0; 4], 2), Err(Error::InvalidArgument));
    assert_eq!(command(1, &[0; 4], 4), Err(Error::NotSupported));
    assert_eq!(command(2, &[0; 4], 0), Ok(vec![]));
}

// covers vouchers I-02
#[test]
fn importance_knows_two_recipes_and_no_content() {
    let mut f = fixture();
    let create = |f: &mut crate::support::Fixture, command, content: &[u8]| {
        f.world.create_voucher("A", &[(IMPORTANCE, command, None, content.to_vec())])
    };
    assert_eq!(create(&mut f, SELF, b"x"), Err(Error::InvalidArgument));
    assert_eq!(create(&mut f, 999, b""), Err(Error::InvalidArgument));
    assert_eq!(create(&mut f, 999, b"x"), Err(Error::InvalidArgument));
    f.world.check();
    assert_eq!((f.element("A").made(), f.refs("A")), (0, 1));
}

// covers vouchers I-07
#[test]
fn the_end_of_a_voucher_takes_all_its_boosts() {
    let mut f = fixture();
    f.send("A", "pB", 2);
    let voucher = f.voucher("B", "pB");
    assert_eq!(f.voucher("B", "pB"), voucher);
    let other = f.boost("X", "B");
    assert_eq!(f.a("B"), 3);
    f.release("B", voucher);
    f.release("B", voucher);
    assert_eq!((f.a("B"), f.inherits(), f.user_refs("B", other)), (1, 1, 1));
}

// covers vouchers I-08
#[test]
fn a_task_that_is_being_terminated_has_no_importance_of_its_own() {
    let mut f = fixture();
    let element = f.world.element("A");
    f.world.importance.begin_termination(element);
    assert_eq!(f.world.create_voucher("A", &[(IMPORTANCE, SELF, None, vec![])]), Ok(None));
    assert_eq!((f.element("A").made(), f.refs("A")), (0, 1));
}

// covers importance E146 E148
#[test]
fn a_thousand_messages_are_a_thousand_boosts_and_one_transition() {
    let mut f = fixture();
    for _ in 0..1000 {
        assert_eq!(f.world.send("A", "pB", Send::default()).1, Some(0));
    }
    assert_eq!((f.c("pB"), f.a("B"), f.refs("A"), f.tr("B")), (1000, 1000, 1001, 1));
    for _ in 0..50 {
        f.nap("A", true);
        assert_eq!((f.c("pB"), f.a("B")), (0, 0));
        f.nap("A", false);
    }
    assert_eq!((f.c("pB"), f.a("B"), f.tr("A"), f.tr("B")), (1000, 1000, 51, 51));
}

// covers importance E149
#[test]
fn a_queue_and_an_inherit_follow_their_donor_together() {
    let mut f = fixture();
    for _ in 0..1000 {
        assert_eq!(f.world.send("A", "pB", Send::default()).1, Some(0));
    }
    let received: Vec<_> = (0..500).map(|_| f.world.receive("B", "pB", true, Mode::Plain).voucher).collect();
    let voucher = received[0].expect("a voucher is delivered");
    f.nap("A", true);
    assert_eq!((f.c("pB"), f.a("B"), f.x("B"), f.inherit_x(voucher)), (0, 0, (0, 0), (500, 0)));
    f.nap("A", false);
    assert_eq!((f.c("pB"), f.a("B"), f.x("B")), (500, 1000, (500, 0)));
    f.world.destroy_port("pB");
    f.world.check();
    assert_eq!(f.a("B"), 500);
}

// covers importance E147
#[test]
fn a_thousand_received_messages_are_one_voucher_with_a_thousand_references() {
    let mut f = fixture();
    for _ in 0..1000 {
        assert_eq!(f.world.send("A", "pB", Send::default()).1, Some(0));
    }
    let vouchers: Vec<_> = (0..1000).map(|_| f.world.receive("B", "pB", true, Mode::Plain).voucher.unwrap()).collect();
    f.world.check();
    let voucher = vouchers[0];
    assert!(vouchers.iter().all(|&other| other == voucher));
    assert_eq!((f.user_refs("B", voucher), f.inherit_x(voucher), f.inherit(voucher).made()), (1000, (1000, 0), 1000));
    assert_eq!((f.a("B"), f.x("B"), f.refs("A"), f.p("B")), (1000, (1000, 0), 2, 31));
    (0..999).for_each(|_| f.world.drop_voucher("B", voucher));
    f.world.check();
    assert_eq!((f.a("B"), f.p("B"), f.user_refs("B", voucher)), (1000, 31, 1));
    f.release("B", voucher);
    assert_eq!((f.a("B"), f.p("B"), f.inherits(), f.refs("A")), (0, 4, 0, 1));
}

// covers importance E150
#[test]
fn a_thousand_donors_are_a_thousand_inherits_and_the_last_one_ends_the_boost() {
    let mut f = fixture();
    let apps: Vec<String> = (0..1000).map(|number| format!("app{number}")).collect();
    for app in &apps {
        f.world.spawn(app, Kind::App, 1, Kind::App.marks(), &[]);
        assert_eq!(f.world.send(app, "pB", Send::default()).1, Some(0));
        assert!(f.world.receive("B", "pB", true, Mode::Plain).raised);
    }
    f.world.check();
    assert_eq!((f.inherits(), f.world.vouchers.registry.len(), f.a("B"), f.refs("B")), (1000, 1000, 1000, 1001));
    for (number, app) in apps.iter().enumerate() {
        assert_eq!((f.a("B"), f.boosted("B"), f.p("B")), (1000 - number as u64, true, 31));
        f.world.exit(app);
    }
    f.world.check();
    assert_eq!((f.a("B"), f.boosted("B"), f.p("B"), f.inherits()), (0, false, 4, 1000));
    f.exit("B");
    assert_eq!((f.inherits(), f.world.vouchers.registry.len()), (0, 0));
}

/// The reference names the sender of a message here, which is a slip (importance 9.3).
#[test]
fn a_debugger_sees_whom_a_task_boosts() {
    let mut f = fixture();
    f.send("A", "pB", 2);
    f.send("A", "pS", 1);
    f.boost("A", "C");
    let element = f.world.element("A");
    let donations: Vec<_> = f.world.importance.donations(element).collect();
    let boosted = donations.iter().map(|&donation| f.world.importance.boosted_by(&mut f.world.kernel, donation));
    let boosted: Vec<Option<_>> = boosted.collect();
    let [b, c] = ["B", "C"].map(|task| Some(f.world.element(task)));
    assert_eq!(boosted, [c, b, b, None], "inherits come first, and S receives no boosts");
    f.nap("A", true);
    assert_eq!(f.world.importance.donations(element).count(), 0);
}

/// The text of a value is cut to the room, and ends with a 0 even then; no room at all is an error (vouchers 6.4.4).
#[test]
fn the_text_of_a_chain_fits_any_room() {
    let mut f = fixture();
    let first = f.boost("A", "B");
    let second = f.boost_with("B", "C", first);
    let process = |name: &str| 100 + f.world.kernel.task_number(name).expect("it is alive");
    let (a, b, c) = (process("A"), process("B"), process("C"));
    let text =
        format!("Importance for pid {c} (1 of 1 boosts) donated from pid {b} (1 of 1 boosts) donated from pid {a}");
    assert_eq!(f.world.describe(second, 4096), Ok(text.clone()));
    assert_eq!(f.world.describe(second, 12), Ok(text[..11].to_owned()));
    assert_eq!(f.world.describe(second, 1), Ok(String::new()));
    assert_eq!(f.world.describe(second, 0), Err(Error::NoSpace));
    f.exit("A");
    let linked = text.replace("donated", "linked").replace(&format!("from pid {a}"), "from pid -1");
    assert_eq!(f.world.describe(second, 4096), Ok(linked));
}
