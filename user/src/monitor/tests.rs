//! Listings and explanations of a kernel in which photos (pid 3) has asked imaged (pid 4), which has asked codecd (pid
//! 5), and mail (pid 6) naps.

use super::listings;
use super::snapshot::Snapshot;
use super::table::Table;
use super::why::{explain, explain_thread};
use super::work::{Answer, Work, listing};
use super::{command, details};
use abi::debugger::{HolderRecord, QUEUE_RUNNING, QueueRecord, holder};
use abi::inspect::*;
use abi::port::{PortType, ikot};
use abi::qos::{AppType, Priority, Qos, Role};
use abi::task::{TASK_IMP_LIVE_DONOR, TASK_IMP_RECEIVER};
use abi::voucher::*;
use alloc::string::String;
use alloc::vec::Vec;

/// Returns the number of the object at a place that is used for the first time.
const fn number(place: u64) -> ObjectNumber {
    1 << 32 | place
}

fn task(pid: u32, name: &str, app_type: AppType, role: Role, flags: u32) -> TaskRecord {
    let element = number(pid.into());
    let mut task = TaskRecord {
        pid,
        parent: 1,
        app_type: app_type as u32,
        role: role as u32,
        flags,
        element,
        ..TaskRecord::default()
    };
    task.name[..name.len()].copy_from_slice(name.as_bytes());
    task
}

fn thread(number: u64, pid: u32, base: u32, wait: u32, wait_object: u64) -> ThreadRecord {
    let class = Priority::of(Qos::Legacy).to_pthread();
    let deadline = u64::MAX;
    ThreadRecord {
        thread: number,
        pid,
        base,
        priority: base,
        requested: class,
        effective: class,
        wait,
        wait_object,
        deadline,
        ..ThreadRecord::default()
    }
}

/// Returns the port of a task with a queue of `messages`, under the name 0x103.
fn port(place: u64, pid: u32, messages: u32, boosts: u32) -> PortRecord {
    let flags = PORT_DONATION;
    PortRecord {
        port: number(place),
        home: home::TASK,
        pid,
        home_object: 0x103,
        messages,
        limit: 5,
        send_rights: 1,
        boosts,
        flags,
        ..PortRecord::default()
    }
}

fn element(pid: u32) -> ElementRecord {
    ElementRecord { element: number(pid.into()), pid, ..ElementRecord::default() }
}

/// Returns an inherit by which the first task boosts the second.
fn inherit(place: u64, from: u32, to: u32, from_inherit: ObjectNumber) -> InheritRecord {
    let (from, to) = (number(from.into()), number(to.into()));
    InheritRecord { inherit: number(place), from_inherit, from, to, total: 3, dropped: 2, depth: 1, donating: 1 }
}

/// Returns the voucher of an inherit, which came by a port from a task.
fn voucher(place: u64, inherit: u64, port: u64, came_by: u64, came_from: u32, merchant: u32) -> VoucherRecord {
    let keys = 1 << MACH_VOUCHER_ATTR_KEY_IMPORTANCE | 1 << MACH_VOUCHER_ATTR_KEY_BANK;
    VoucherRecord {
        voucher: number(place),
        references: 2,
        keys,
        port: number(port),
        send_rights: 1,
        inherit: number(inherit),
        holder: 3,
        merchant,
        persona: u32::MAX,
        came_by: number(came_by),
        came_with: 7005,
        came_from,
        ..VoucherRecord::default()
    }
}

fn snapshot() -> Snapshot {
    let (receiver, donor) = (TASK_IMP_RECEIVER as u32, TASK_IMP_LIVE_DONOR as u32);
    let boosted = receiver | TASK_BOOSTED | TASK_DONOR;
    let mut tasks = Vec::from([
        task(1, "init", AppType::None, Role::Unspecified, 0),
        task(3, "photos", AppType::AppDefault, Role::Foreground, donor | TASK_DONOR),
        task(4, "imaged", AppType::DaemonAdaptive, Role::Unspecified, boosted),
        task(5, "codecd", AppType::DaemonAdaptive, Role::Unspecified, boosted),
        task(6, "mail", AppType::AppDefault, Role::Background, donor | TASK_SUPPRESSED),
        task(7, "imaged", AppType::DaemonAdaptive, Role::Unspecified, receiver),
    ]);
    (tasks[2].boosts, tasks[3].boosts, tasks[2].cpu_time) = (1, 2, 5_000_000);
    let mut threads = Vec::from([
        thread(1, 1, 31, wait::RECEIVE_SET, number(0)),
        thread(3, 3, 47, wait::RECEIVE_PORT, number(30)),
        thread(4, 4, 31, wait::RECEIVE_PORT, number(40)),
        thread(5, 5, 31, wait::READY, 0),
        thread(6, 6, 4, wait::CLOCK, 0),
    ]);
    threads[3].voucher = number(2);
    threads[1].pushes = 4;
    threads[4].deadline = 1_500_000_000;
    let mut send = MessageRecord {
        message: number(9),
        port: number(50),
        id: 7005,
        size: 40,
        sender: 4,
        donor: 4,
        ..MessageRecord::default()
    };
    send.flags = MESSAGE_LINKED | MESSAGE_RAISED;
    let kernel = PortRecord {
        port: number(60),
        home: home::KERNEL,
        pid: 4,
        home_object: ikot::VOUCHER.into(),
        ..PortRecord::default()
    };
    let name = |name, kind: PortType, object| NameRecord { name, kind: kind.bits(), references: 1, kobject: 0, object };
    Snapshot {
        tasks,
        threads,
        ports: [port(30, 3, 0, 0), port(40, 4, 0, 0), port(50, 5, 1, 1), kernel].into(),
        messages: [send].into(),
        vouchers: [voucher(1, 1, 60, 40, 3, 4), voucher(2, 2, 61, 50, 4, 5)].into(),
        inherits: [inherit(1, 3, 4, 0), inherit(2, 4, 5, number(1))].into(),
        accounts: Vec::new(),
        elements: [3, 4, 5, 6, 7].map(element).into(),
        names: [
            (4, name(0x103, PortType::RECEIVE, number(40))),
            (4, name(0x203, PortType::SEND, number(60))),
            (4, name(0x303, PortType::DEAD_NAME, 0)),
            (5, name(0x103, PortType::RECEIVE | PortType::SEND, number(50))),
        ]
        .into(),
        work: Vec::new(),
    }
}

fn text(table: &Table) -> String {
    let mut text = String::new();
    table.write_text(&mut text).unwrap();
    text
}

#[track_caller]
fn shows(table: &Table, lines: &[&str]) {
    let text = text(table);
    assert_eq!(text.lines().collect::<Vec<_>>(), lines, "\n{text}");
}

#[test]
fn why_follows_a_boost_to_the_app_that_causes_it() {
    let snapshot = snapshot();
    let lines = explain(&snapshot, snapshot.task(5).unwrap());
    let expected = [
        "codecd (pid 5) runs at base priority 31",
        "  it is a daemon, adaptive: in the background but for its boost",
        "  because it has 2 boosts:",
        "    1 boost is on port p50.1, its name 0x103:",
        "      by message m9.1 of id 7005, not received yet, from imaged (pid 4)",
        "        imaged donates because it has a boost itself:",
        "          1 boost is held by voucher v1.1: name 0x203 of imaged (1 refs)",
        "            which first came with a message of id 7005 on port p40.1 from photos (pid 3)",
        "            it is the importance of photos (pid 3)",
        "              photos donates because it is an app, role front",
        "    1 boost is held by voucher v2.1: adopted by t5",
        "      which first came with a message of id 7005 on port p50.1 from imaged (pid 4)",
        "      it is the importance of imaged (pid 4)",
        "        imaged donates because it has a boost itself:",
        "          1 boost is held by voucher v1.1: name 0x203 of imaged (1 refs)",
        "            which first came with a message of id 7005 on port p40.1 from photos (pid 3)",
        "            it is the importance of photos (pid 3)",
        "              photos donates because it is an app, role front",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn why_and_work_tell_what_holds_a_voucher_as_the_task_says() {
    let mut snapshot = snapshot();
    let mut queue =
        QueueRecord { queue: 13, thread: 4, flags: QUEUE_RUNNING, waiting: 1, max_class: 5, ..Default::default() };
    queue.label[..6].copy_from_slice(b"decode");
    let voucher = abi::PortName(0x203);
    let running = HolderRecord { queue: 13, work: 7, thread: 4, kind: holder::RUNNING, voucher, ..Default::default() };
    let queued = HolderRecord {
        queue: 13,
        activity: 0x12,
        priority: 0x10ff,
        kind: holder::QUEUED,
        voucher,
        ..Default::default()
    };
    // It says that it holds what it has no name for, and what is no voucher.
    let other = [0x103, 0x999].map(|name| HolderRecord {
        kind: holder::BLOCK,
        voucher: abi::PortName(name),
        ..Default::default()
    });
    let holders = [&[running, queued][..], &other].concat();
    snapshot.work = [(4, Answer::Told(Work { queues: [queue].into(), holders })), (5, Answer::Silent)].into();
    let lines = explain(&snapshot, snapshot.task(4).unwrap());
    let start = lines.iter().position(|line| line.contains("held by voucher v1.1")).unwrap();
    assert_eq!(
        lines[start + 1..start + 4],
        [
            "      in imaged (pid 4): work w7 of q13 \"decode\", running on t4",
            "      in imaged (pid 4): work of q13 \"decode\", which waits for its turn",
            "      which first came with a message of id 7005 on port p40.1 from photos (pid 3)",
        ]
    );
    shows(
        &listing(&snapshot),
        &[
            "task    queue         what                thread  class  voucher  activity",
            "imaged  q13 \"decode\"  runs, 1 item waits  t4      IN",
            "imaged  q13 \"decode\"    w7 runs           t4      DEF    v1.1",
            "imaged  q13 \"decode\"    waits                     IN     v1.1     0x12",
            "imaged                  block",
            "imaged                  block",
            "codecd                does not answer",
        ],
    );
    // A task that has the voucher and does not answer is said so.
    snapshot.names.push((5, NameRecord { name: 0x303, references: 1, object: number(60), ..NameRecord::default() }));
    let lines = explain(&snapshot, snapshot.task(4).unwrap());
    assert!(lines.contains(&"      codecd does not say what in it holds the voucher".into()), "{lines:?}");
    // A task that says very much is cut short.
    snapshot.work = [(4, Answer::Told(Work { queues: Vec::new(), holders: [queued; 1000].into() }))].into();
    let lines = explain(&snapshot, snapshot.task(4).unwrap());
    assert!(lines.contains(&"      and 984 more".into()) && lines.len() < 40, "{lines:?}");
}

#[test]
fn why_says_what_a_task_without_boosts_is() {
    let mut snapshot = snapshot();
    let of = |snapshot: &Snapshot, pid| explain(snapshot, snapshot.task(pid).unwrap())[1..].join("\n");
    assert_eq!(of(&snapshot, 6), "  it is an app, role back: in App Nap");
    assert_eq!(of(&snapshot, 7), "  it is a daemon, adaptive: in the background while it has no boost");
    snapshot.tasks[5].flags |= TASK_BOOSTED | TASK_DELAYED;
    assert!(of(&snapshot, 7).ends_with("because it had a boost, which it keeps for up to a second"));
    // In a snapshot that shows tasks which boost each other the explanation comes to an end.
    snapshot.tasks[1].flags = TASK_BOOSTED | TASK_DONOR;
    for (place, (from, to)) in [(3, 4), (4, 3), (3, 4), (4, 3)].into_iter().enumerate() {
        let place = 10 + place as u64;
        snapshot.inherits.push(inherit(place, from, to, 0));
        snapshot.vouchers.push(voucher(place, place, 0, 40, from, to));
    }
    assert!((100..1000).contains(&explain(&snapshot, snapshot.task(4).unwrap()).len()));
}

#[test]
fn why_of_a_thread_tells_what_it_asks_for_and_who_pushes_it() {
    let snapshot = snapshot();
    let lines = explain_thread(&snapshot, snapshot.thread(4).unwrap()).join("\n");
    assert!(lines.starts_with("t4 of imaged (pid 4) runs at base priority 31, at present at 31\n"), "{lines}");
    for line in [
        "  it asks for the class DEF",
        "  t4 is pushed by t3 of photos (pid 3) (class DEF), which waits for it",
        "  it does not run now: a message on port p40.1",
        "  its task, imaged (pid 4):",
        "    because it has 1 boost:",
        "      1 boost is held by voucher v1.1: name 0x203 of imaged (1 refs)",
    ] {
        assert!(lines.lines().any(|seen| seen == line), "{line} is missing:\n{lines}");
    }
    let lines = explain_thread(&snapshot, snapshot.thread(5).unwrap()).join("\n");
    assert!(lines.contains("it works with voucher v2.1"), "{lines}");
}

#[test]
fn tasks_and_threads_are_listed_with_their_policy() {
    let snapshot = snapshot();
    let lines = text(&listings::tasks(&snapshot));
    assert!(lines.contains("  5  codecd  daemon, adaptive         RDB         2    31"), "{lines}");
    assert!(lines.contains("  6  mail    app               back   N           0     4"), "{lines}");
    shows(
        &listings::threads(&snapshot, Some(5)),
        &[
            "thread  task            asks  gets  base  now  voucher  time µs  waits for",
            "t5      codecd (pid 5)  DEF   DEF     31   31  v2.1           0  ready: waits for a processor",
        ],
    );
    let all = text(&listings::threads(&snapshot, None));
    assert!(all.contains("a message on set s0.1") && all.contains("the time 1.500000"), "{all}");
}

#[test]
fn boosts_and_donors_are_listed_with_the_way_they_take() {
    let snapshot = snapshot();
    shows(
        &listings::boosts(&snapshot, snapshot.task(5).unwrap()),
        &["boosts  through       from", "     1  port p50.1    imaged (pid 4)", "     1  voucher v2.1  imaged (pid 4)"],
    );
    assert_eq!(text(&listings::boosts(&snapshot, snapshot.task(6).unwrap())), "the task has no boosts\n");
    shows(
        &listings::donates(&snapshot),
        &[
            "task            boosts          through",
            "photos (pid 3)  imaged (pid 4)  inherit i1.1",
            "imaged (pid 4)  codecd (pid 5)  inherit i2.1",
            "imaged (pid 4)  codecd (pid 5)  message m9.1 on port p50.1",
        ],
    );
}

#[test]
fn names_ports_and_queues_are_listed() {
    let snapshot = snapshot();
    shows(
        &listings::names(&snapshot, 4),
        &[
            "name   rights   refs  object  receive right",
            "0x103  receive     1  p40.1   imaged (pid 4) as 0x103",
            "0x203  send        1  p60.1   kernel: voucher of imaged (pid 4)",
            "0x303  dead        1  dead",
        ],
    );
    shows(
        &listings::queues(&snapshot),
        &[
            "port   receive right            messages  limit  boosts  receivers  senders",
            "p30.1  photos (pid 3) as 0x103         0      5       0          1        0",
            "p40.1  imaged (pid 4) as 0x103         0      5       0          1        0",
            "p50.1  codecd (pid 5) as 0x103         1      5       1          0        0",
        ],
    );
    let port = details::one_port(&snapshot, "codecd", "0x103").unwrap().join("\n");
    assert!(
        port.starts_with("port p50.1: codecd (pid 5) as 0x103\n1 send rights, 0 send-once rights, 1 of 5"),
        "{port}"
    );
    assert!(port.contains("accepts importance") && port.contains("m9.1     7005"), "{port}");
}

#[test]
fn vouchers_and_bills_are_listed() {
    let snapshot = snapshot();
    shows(
        &listings::vouchers(&snapshot),
        &[
            "voucher  keys  refs  rights  importance                    account                     persona  QoS",
            "v1.1     2,3      2       1  photos boosts imaged (pid 4)  photos pays imaged (pid 4)",
            "v2.1     2,3      2       1  imaged (pid 4) boosts codecd  photos pays codecd",
        ],
    );
    let voucher = details::one_voucher(&snapshot, "v1").unwrap();
    let expected = [
        "voucher v1.1, 2 references",
        "importance: photos boosts imaged (pid 4)",
        "account: photos pays imaged (pid 4)",
        "first came with a message of id 7005 on port p40.1 from photos (pid 3)",
        "held by imaged (pid 4) as 0x203, 1 references",
    ];
    assert_eq!(voucher, expected);
    assert!(text(&listings::bill(&snapshot)).contains("imaged (pid 4)    5000"));
}

#[test]
fn errors_name_what_is_wrong() {
    let snapshot = snapshot();
    let task = |word| snapshot.task_named(word).map(|task| task.pid);
    assert_eq!(task("codecd"), Ok(5));
    assert_eq!(task("4"), Ok(4));
    assert_eq!(task("imaged"), Err("several tasks are called imaged: give the pid; see `tasks`".into()));
    assert_eq!(task("nobody"), Err("no task is called nobody; see `tasks`".into()));
    assert_eq!(task("99"), Err("there is no task with the pid 99; see `tasks`".into()));
    let port = |task, name| details::one_port(&snapshot, task, name).unwrap_err();
    assert_eq!(port("codecd", "0x999"), "codecd (pid 5) has no name 0x999; see `ports`");
    assert_eq!(port("codecd", "x"), "a name is a number such as 0x103");
    assert_eq!(port("4", "0x303"), "the name denotes no port");
    assert_eq!(details::one_voucher(&snapshot, "v9").unwrap_err(), "there is no voucher v9; see `vouchers`");
    assert_eq!(command::usage("tasks!"), "there is no such command; `tasks`?");
    assert!(command::usage("nap").starts_with("use it as `nap TASK on|off`: "));
}
