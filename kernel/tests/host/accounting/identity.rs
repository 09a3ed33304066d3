//! What the bank knows of tasks: their personas and properties, as they were started (vouchers 6.3.2, 6.3.5, errata 6).

use super::*;
use crate::message::Msg;
use crate::program::spawn_args;
use crate::vouchers::routines::command;
use crate::vouchers::{BANK, it};
use abi::code::*;
use abi::policy::PERSONA_OP_GET;
use abi::port::MACH_PORT_NULL;
use abi::task::{PERSONA_ID_NONE, Properties, TaskSpawnArgs};
use abi::trap::unix::PERSONA;
use abi::voucher::*;

const SYSTEM: u32 = 101;
const PROXY: u32 = 102;
const USER: u32 = 501;

fn args(persona: u32, properties: Properties) -> TaskSpawnArgs {
    TaskSpawnArgs { persona, properties: properties.bits(), ..spawn_args() }
}

/// Returns a world in which the personas of the system exist.
fn world() -> World {
    let mut w = World::new();
    w.task_with(TaskSpawnArgs { system_persona: SYSTEM, system_proxy_persona: PROXY, ..spawn_args() });
    w
}

/// Returns the persona of a voucher, as the bank's command tells.
fn persona_of(w: &mut World, a: Actor, voucher: PortName) -> u32 {
    let out = command(w, a, voucher, (BANK, BANK_PERSONA_ID), b"", 4).unwrap();
    u32::from_le_bytes(out.try_into().unwrap())
}

/// Returns what `persona` tells the caller.
fn persona(w: &mut World, a: Actor) -> Result<u32, Errno> {
    let at = w.result(a);
    call(w, a, PERSONA, &[PERSONA_OP_GET.into(), 0, 0, at])?;
    Ok(u32::from_le_bytes(w.get(a, crate::world::RESULT, 4).try_into().unwrap()))
}

#[test]
fn a_receiver_replaces_the_persona_unless_its_properties_let_it_adopt_any() {
    for (own, properties, expected) in [
        (PERSONA_ID_NONE, Properties::empty(), PERSONA_ID_NONE),
        (PERSONA_ID_NONE, Properties::PLATFORM, USER),
        (PERSONA_ID_NONE, Properties::ADOPT_ANY, USER),
        (502, Properties::ADOPT_ANY, 502),
        (SYSTEM, Properties::empty(), USER),
        (PROXY, Properties::empty(), USER),
    ] {
        let mut w = world();
        let (client, server) = (w.task_with(args(USER, Properties::empty())), w.task_with(args(own, properties)));
        let voucher = w.send_account(client, server);
        assert_eq!(persona_of(&mut w, server, voucher), expected, "{own} {properties:?}");
    }
}

#[test]
fn without_the_systems_personas_none_is_replaced() {
    let mut w = World::new();
    let (client, server) =
        (w.task_with(args(USER, Properties::empty())), w.task_with(args(PERSONA_ID_NONE, Properties::empty())));
    let voucher = w.send_account(client, server);
    assert_eq!(persona_of(&mut w, server, voucher), USER);
}

#[test]
fn the_persona_of_a_thread_is_that_of_its_voucher() {
    let mut w = world();
    let client = w.task_with(args(USER, Properties::empty()));
    let server = w.task_with(args(PERSONA_ID_NONE, Properties::PLATFORM));
    let other = w.thread(server);
    let voucher = w.send_account(client, server);
    assert_eq!((persona(&mut w, client), persona(&mut w, server)), (Ok(USER), Err(ESRCH)));
    w.adopt(server, voucher);
    assert_eq!((persona(&mut w, server), persona(&mut w, other)), (Ok(USER), Err(ESRCH)));
    w.adopt(server, MACH_PORT_NULL);
    assert_eq!(persona(&mut w, server), Err(ESRCH));
}

#[test]
fn a_part_of_the_platform_passes_on_whose_request_it_was() {
    for (properties, originator_is_client) in [
        (Properties::empty(), false),
        (Properties::PLATFORM, true),
        (Properties::PLATFORM | Properties::NO_PROPAGATE, false),
    ] {
        let mut w = world();
        let client = w.task_with(args(USER, Properties::empty()));
        let broker = w.task_with(args(PERSONA_ID_NONE, properties));
        let server = w.task_with(args(PERSONA_ID_NONE, Properties::PLATFORM));
        let voucher = w.send_account(client, broker);
        let passed = w.pass_voucher(broker, server, voucher);
        let size = size_of::<PersonaToken>();
        let out = command(&mut w, server, passed, (BANK, BANK_PERSONA_TOKEN), b"", size as u32).unwrap();
        let token = PersonaToken::read_from_bytes(&out).unwrap();
        let originator = if originator_is_client { client } else { broker };
        assert_eq!(token.originator.pid as u64, w.pid(originator), "{properties:?}");
        assert_eq!(token.proximate.pid as u64, w.pid(broker));
        w.adopt(server, passed);
        w.burn(server, 34);
        assert_eq!(w.times(client).1, 34, "whoever the request comes from, its holder pays");
    }
}

#[test]
fn only_a_task_with_the_property_gives_a_voucher_another_persona() {
    for (properties, persona, code) in [
        (Properties::MODIFY, USER, Ok(())),
        (Properties::MODIFY, 777, Err(KERN_INVALID_ARGUMENT)),
        (Properties::empty(), USER, Err(KERN_NO_ACCESS)),
    ] {
        let mut w = world();
        w.task_with(args(USER, Properties::empty()));
        let client = w.task_with(args(SYSTEM, Properties::empty()));
        let broker = w.task_with(args(PERSONA_ID_NONE, properties));
        let (pid, voucher) = (w.pid(client), w.make_voucher(client, &[current_task()]).unwrap());
        // In a body it stays what it is: the value that names the client.
        let task = it(BANK, MACH_VOUCHER_ATTR_SEND_PREPROCESS, voucher, b"");
        let named = w.make_voucher(client, &[task]).unwrap();
        let (port, right) = w.connect(client, broker);
        w.send(client, &Msg::copy_send(right).port(named, D::COPY_SEND)).unwrap();
        let named = w.poll(broker, port).unwrap().descriptor(0).name;
        let content = [persona.to_le_bytes(), [0; 4]].concat();
        let content = [content.as_slice(), &pid.to_le_bytes()].concat();
        let made = w.make_voucher(broker, &[it(BANK, MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA, named, &content)]);
        assert_eq!(made.map(|_| ()), code, "{properties:?} {persona}");
        if let Ok(made) = made {
            assert_eq!(persona_of(&mut w, broker, made), USER);
        }
    }
}
