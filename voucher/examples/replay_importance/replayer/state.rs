//! The state of a world in the notation of traces.

use super::super::world::{Holder, Kernel, Message, World};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use voucher::importance::{ElementId, ExternCount, LinkId, Source};
use voucher::{Key, VoucherId};

/// Returns the complete state.
pub fn state(world: &World) -> Value {
    json!({
        "tasks": tasks(world),
        "elems": elements(world),
        "inherits": inherits(world),
        "ports": ports(world),
        "msgs": messages(world),
        "vouchers": vouchers(world),
        "live": {
            "vouchers": world.vouchers.registry.len(),
            "elems": world.importance.elements().count() + world.importance.inherits().count(),
        },
        "timer": world.importance.delayed_drop_deadline(),
        "lists": lists(world),
    })
}

fn source(world: &World, source: Source) -> String {
    match source {
        Source::Task(id) => world.element_names[&id].clone(),
        Source::Inherit(id) => world.inherit_names[&id].clone(),
    }
}

fn external(count: ExternCount) -> Value {
    json!([count.total, count.dropped])
}

fn number(flag: bool) -> u8 {
    u8::from(flag)
}

fn tasks(world: &World) -> Map<String, Value> {
    let live = world.kernel.tasks.iter().filter(|task| !task.ended);
    let one = |task: &super::super::world::Task| {
        let id = task.element.expect("it is alive");
        let element = world.importance.element(id).expect("it is alive");
        let held: Map<String, Value> =
            task.vouchers.iter().map(|(id, &refs)| (world.voucher_names[id].clone(), json!(refs))).collect();
        json!({
            "elem": world.element_names[&id],
            "boosted": number(task.boosted),
            "donor": number(element.is_donor()),
            "live_policy": number(task.live_policy().wish(task.boosted)),
            "vouchers": held,
        })
    };
    live.map(|task| (task.name.clone(), one(task))).collect()
}

fn elements(world: &World) -> Map<String, Value> {
    let one = |element: &voucher::importance::TaskElement| {
        let marks = element.marks();
        let letters = [(marks.receiver, 'R'), (marks.denap, 'N'), (marks.donor, 'D'), (marks.live_donor, 'L')];
        let letters: String = letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
        json!({
            "task": element.task().map(|task| world.kernel.tasks[task as usize].name.clone()),
            "a": element.assertions(),
            "x": external(element.external()),
            // No boost is ever held by hand: the reference has no other way to deliver one (DV-14).
            "legacy": [0, 0],
            "fl": element.file_locks(),
            "marks": letters,
            "donor": number(element.is_donor()),
            "tr": element.transitions(),
            "refs": element.refs(),
            "made": element.made(),
            "delayed": element.is_delayed(),
        })
    };
    world.importance.elements().map(|(id, element)| (world.element_names[&id].clone(), one(element))).collect()
}

fn inherits(world: &World) -> Map<String, Value> {
    let one = |inherit: &voucher::importance::Inherit| {
        json!({
            "from": source(world, inherit.from()),
            "to": world.element_names[&inherit.to()],
            "depth": inherit.depth().length(),
            "reset": number(inherit.depth().is_cut()),
            "x": external(inherit.external()),
            "made": inherit.made(),
            "refs": inherit.refs(),
            "donating": number(inherit.is_donating()),
        })
    };
    world.importance.inherits().map(|(id, inherit)| (world.inherit_names[&id].clone(), one(inherit))).collect()
}

fn ports(world: &World) -> Map<String, Value> {
    let kernel = &world.kernel;
    let names = |messages: &std::collections::VecDeque<u32>| -> Vec<String> {
        messages.iter().map(|message| format!("m{message}")).collect()
    };
    let live = kernel.live_ports().into_iter().filter_map(|number| kernel.port_of(number));
    let one = |port: &super::super::world::Port| {
        json!({
            "c": port.boosts.count(),
            "in": holder(kernel, port.holder),
            "donation": number(port.boosts.accepts_donation()),
            "tempowner": number(port.boosts.is_temp_owner()),
            "bound": port.boosts.bound().map(|id| world.element_names[&id].clone()),
            "spimp": number(port.boosts.holds_send_possible()),
            "queue": names(&port.queue),
            "blocked": names(&port.blocked),
        })
    };
    live.map(|port| (port.name.clone(), one(port))).collect()
}

fn holder(kernel: &Kernel, holder: Holder) -> String {
    match holder {
        Holder::Task(task) => kernel.tasks[task].name.clone(),
        Holder::Transit(port) => format!("->{}", kernel.port_names[port as usize]),
        Holder::Limbo => "limbo".to_owned(),
    }
}

fn messages(world: &World) -> Map<String, Value> {
    let one = |message: &Message| {
        let link = message.link.and_then(|id| world.importance.link(id));
        json!({
            "dest": world.kernel.port_names[message.port as usize],
            "where": if message.blocked { "blocked" } else { "queued" },
            "link": link.and_then(|link| link.source()).map(|of| source(world, of)),
            "raised": number(link.is_some_and(|link| link.is_raised())),
        })
    };
    world.messages.iter().map(|(id, message)| (format!("m{id}"), one(message))).collect()
}

fn vouchers(world: &World) -> Map<String, Value> {
    let registry = &world.vouchers.registry;
    let one = |id: VoucherId| {
        let importance = registry.handle(id, Key::IMPORTANCE).and_then(Source::from_handle);
        let content = registry.handle(id, Key::USER_DATA).and_then(|handle| world.vouchers.user_data.content(handle));
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        json!({
            "importance": importance.map(|importance| source(world, importance)),
            "user_data": content.map(hex),
            "rights": registry.get(id).map_or(0, |voucher| voucher.refs()),
        })
    };
    registry.iter().map(|(id, _)| (world.voucher_names[&id].clone(), one(id))).collect()
}

fn lists(world: &World) -> Map<String, Value> {
    let linked = world.messages.iter().filter_map(|(id, message)| Some((message.link?.to_bits(), *id)));
    let linked: BTreeMap<u64, u32> = linked.collect();
    let message = |link: LinkId| format!("m{}", linked[&link.to_bits()]);
    let one = |id: ElementId| {
        let messages: Vec<String> = world.importance.messages_of(id).map(message).collect();
        let inherits: Vec<String> =
            world.importance.inherits_of(id).map(|inherit| world.inherit_names[&inherit].clone()).collect();
        (!messages.is_empty() || !inherits.is_empty()).then(|| json!([messages, inherits]))
    };
    let elements = world.importance.elements();
    elements.filter_map(|(id, _)| Some((world.element_names[&id].clone(), one(id)?))).collect()
}
