//! What a parent may ask for, for its child: type, role, clamp, persona, properties and watch ports (importance 2.2 and
//! 3.3, errata 6).

use crate::calls::UNUSED_NAME;
use crate::program::{program, spawn_args};
use crate::world::{ARGUMENTS, Actor, World};
use abi::code::*;
use abi::port::*;
use abi::qos::{AppType, Qos, Role};
use abi::task::*;
use abi::{KernReturn, PortName};
use kernel::credentials::SystemPersonas;
use kernel::ids::TaskId;
use zerocopy::IntoBytes;

/// The number of a user without privilege.
const USER: u32 = 1000;

/// Spawns the smallest program and returns its task. A refused spawn must leave everything as it was.
#[track_caller]
fn spawn(w: &mut World, parent: Actor, args: TaskSpawnArgs) -> Result<TaskId, KernReturn> {
    let before = (w.counts(), w.names(parent), w.kernel.tasks.system_personas);
    let spawned = w.spawn_image(parent, &program(), args);
    if spawned.is_err() {
        assert_eq!((w.counts(), w.names(parent), w.kernel.tasks.system_personas), before);
    }
    spawned.map(|_| w.newest_task())
}

/// Returns arguments for a child of this type, role and clamp.
fn policy(app_type: AppType, role: Role, clamp: Qos) -> TaskSpawnArgs {
    TaskSpawnArgs { app_type: app_type as u32, role: role as u32, qos_clamp: clamp as u32, ..spawn_args() }
}

/// Returns arguments for a child of this type.
fn of_type(app_type: AppType) -> TaskSpawnArgs {
    policy(app_type, Role::Unspecified, Qos::Unspecified)
}

/// Spawns an actor of a user without privilege.
fn user(w: &mut World, args: TaskSpawnArgs) -> Actor {
    let init = w.init;
    w.spawn(init, TaskSpawnArgs { uid: USER, ..args }).unwrap().0
}

/// Returns the base priority of a task's first thread.
fn base(w: &World, task: TaskId) -> u8 {
    let thread = w.kernel.tasks[task].threads.front().unwrap();
    w.kernel.sched[thread].schedule().base
}

#[test]
fn an_unprivileged_parent_cannot_lift_its_child_above_itself() {
    let mut w = World::new();
    let plain = user(&mut w, spawn_args());
    let app = user(&mut w, of_type(AppType::AppDefault));
    let clamped = user(&mut w, policy(AppType::AppDefault, Role::Foreground, Qos::Utility));
    let adaptive = user(&mut w, of_type(AppType::DaemonAdaptive));
    let background = user(&mut w, of_type(AppType::DaemonBackground));
    let foreground = |clamp| policy(AppType::AppDefault, Role::Foreground, clamp);
    let role = |role| policy(AppType::None, role, Qos::Unspecified);
    const NO: Result<u8, KernReturn> = Err(KERN_NO_ACCESS);
    for (parent, args, result) in [
        (plain, role(Role::GraphicsServer), NO),
        (plain, role(Role::Control), NO),
        (plain, role(Role::Foreground), Ok(31)),
        (plain, foreground(Qos::Unspecified), NO),
        (plain, foreground(Qos::UserInitiated), Ok(37)),
        (plain, of_type(AppType::DaemonStandard), Ok(31)),
        (app, policy(AppType::AppDefault, Role::GraphicsServer, Qos::Unspecified), NO),
        (app, foreground(Qos::Unspecified), Ok(47)),
        (clamped, foreground(Qos::Unspecified), Ok(20)),
        (clamped, foreground(Qos::Background), Ok(4)),
        (clamped, foreground(Qos::Legacy), NO),
        (clamped, policy(AppType::Driver, Role::Unspecified, Qos::UserInteractive), NO),
        (adaptive, of_type(AppType::DaemonStandard), NO),
        (adaptive, of_type(AppType::DaemonAdaptive), Ok(4)),
        (adaptive, spawn_args(), Ok(4)),
        (background, of_type(AppType::DaemonAdaptive), NO),
        (background, spawn_args(), Ok(4)),
    ] {
        let child = spawn(&mut w, parent, args);
        assert_eq!(child.map(|task| base(&w, task)), result, "{args:?}");
    }
}

#[test]
fn user_0_lifts_a_child_above_itself() {
    let mut w = World::new();
    let (init, a) = (w.init, w.task_of(AppType::DaemonBackground, Role::Unspecified));
    for (args, priority) in [
        (policy(AppType::None, Role::GraphicsServer, Qos::Unspecified), 4),
        (policy(AppType::Driver, Role::GraphicsServer, Qos::Unspecified), 31),
        (policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified), 47),
    ] {
        let child = spawn(&mut w, a, args).unwrap();
        assert_eq!(base(&w, child), priority, "{args:?}");
    }
    let args = TaskSpawnArgs { uid: USER, ..policy(AppType::None, Role::GraphicsServer, Qos::Unspecified) };
    let graphics = spawn(&mut w, init, args).unwrap();
    assert_eq!(base(&w, graphics), 76, "the child's user does not matter");
}

#[test]
fn a_child_is_in_the_background_with_its_parent() {
    let mut w = World::new();
    let a = user(&mut w, of_type(AppType::AppDefault));
    w.kernel.change_task_policy(a.task, |policy| policy.external_background = true);
    w.kernel.apply_policy_changes();
    let child = spawn(&mut w, a, policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified)).unwrap();
    assert_eq!(base(&w, child), 4);
    let set_self = [u64::from(abi::policy::PRIO_DARWIN_PROCESS), 0, 0];
    assert_eq!(crate::unix::call(&mut w, a, abi::trap::unix::SETPRIORITY, &set_self), Ok(0));
    assert_eq!(base(&w, a.task), 4, "it does not leave the background that others have chosen");
}

#[test]
fn only_user_0_gives_a_persona_and_properties_that_it_does_not_have() {
    let mut w = World::new();
    let (platform, restricted) = (Properties::PLATFORM, Properties::NO_PROPAGATE);
    let a = user(&mut w, TaskSpawnArgs { persona: 501, properties: platform.bits(), ..spawn_args() });
    let b = user(&mut w, TaskSpawnArgs { properties: restricted.bits(), ..spawn_args() });
    let (none, all) = (Properties::empty(), Properties::all());
    let refused = Err(KERN_NO_ACCESS);
    for (parent, persona, properties, result) in [
        (a, 0, none, Ok((501, none))),
        (a, 501, platform, Ok((501, platform))),
        (a, 0, platform | restricted, Ok((501, platform | restricted))),
        (a, 502, none, refused),
        (a, PERSONA_ID_NONE, none, refused),
        (a, 0, Properties::ADOPT_ANY, refused),
        (a, 0, Properties::MODIFY | platform, refused),
        (b, 0, none, Ok((PERSONA_ID_NONE, restricted))),
        (b, 0, platform, refused),
        (w.init, 777, all, Ok((777, all))),
    ] {
        let args = TaskSpawnArgs { persona, properties: properties.bits(), ..spawn_args() };
        let child = spawn(&mut w, parent, args).map(|child| w.kernel.tasks[child].identity);
        assert_eq!(child.map(|identity| (identity.persona, identity.properties)), result, "{args:?}");
    }
}

#[test]
fn only_user_0_gives_a_coalition() {
    let mut w = World::new();
    let (init, own) = (w.init, TaskSpawnArgs { coalition: SPAWN_COALITION_OWN, ..spawn_args() });
    let a = user(&mut w, own);
    let child = spawn(&mut w, a, spawn_args()).unwrap();
    assert_eq!(spawn(&mut w, a, own), Err(KERN_NO_ACCESS));
    let coalition = |task: TaskId| w.kernel.tasks[task].coalition;
    assert_eq!(coalition(child), coalition(a.task), "a child is in that of its parent");
    assert_ne!(coalition(a.task), coalition(init.task));
    // It lasts as long as one of its tasks, and so does its place on the budget of the first one.
    w.end_task(a);
    w.settle();
    assert!(w.kernel.tasks.is_live(child));
}

#[test]
fn user_0_gives_the_personas_of_the_system_once() {
    let mut w = World::new();
    let (init, a) = (w.init, user(&mut w, spawn_args()));
    let args =
        |system_persona, system_proxy_persona| TaskSpawnArgs { system_persona, system_proxy_persona, ..spawn_args() };
    for announced in [args(101, 0), args(0, 102)] {
        assert_eq!(spawn(&mut w, a, announced), Err(KERN_NO_ACCESS));
    }
    spawn(&mut w, init, args(0, 102)).unwrap();
    assert_eq!(spawn(&mut w, init, args(101, 102)), Err(KERN_FAILURE), "one of them is known");
    spawn(&mut w, init, args(101, 0)).unwrap();
    for announced in [args(101, 0), args(0, 102), args(7, 0)] {
        assert_eq!(spawn(&mut w, init, announced), Err(KERN_FAILURE));
    }
    assert_eq!(w.kernel.tasks.system_personas, SystemPersonas { system: Some(101), proxy: Some(102) });
    spawn(&mut w, init, args(0, 0)).unwrap();
}

#[test]
fn watch_ports_are_send_rights_of_the_parent() {
    let mut w = World::new();
    let a = w.task();
    let (sendable, receive) = (w.port_with_send(a), w.port(a));
    let other = w.port_with_send(a);
    w.mod_refs(a, other, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.port_type(a, other), Ok(PortType::DEAD_NAME));
    const AT: u64 = ARGUMENTS + 512;
    let watching = |w: &mut World, names: &[PortName]| {
        w.put(a, AT, names.as_bytes());
        let (watch_ports, watch_port_count) = (a.memory + AT, names.len() as u32);
        spawn(w, a, TaskSpawnArgs { app_type: 3, watch_ports, watch_port_count, ..spawn_args() }).map(|_| ())
    };
    assert_eq!(watching(&mut w, &[]), Ok(()));
    assert_eq!(watching(&mut w, &[sendable; WATCH_PORTS_MAX as usize]), Ok(()));
    let refs = w.get_refs(a, sendable, MACH_PORT_RIGHT_SEND);
    assert_eq!(refs, Ok(1), "no right is taken");
    for bad in [UNUSED_NAME, MACH_PORT_NULL, MACH_PORT_DEAD, receive, other] {
        assert_eq!(watching(&mut w, &[sendable, bad]), Err(KERN_INVALID_CAPABILITY), "{bad:?}");
    }
    let unreadable = TaskSpawnArgs { watch_ports: 8, watch_port_count: 1, ..spawn_args() };
    assert_eq!(spawn(&mut w, a, unreadable), Err(KERN_MEMORY_ERROR));
}
