//! The story of a trace in plain words: what is called, what the managers are asked, and what comes of it.

use super::text::string_in;
use super::traces::{lines, word};
use super::world::World;
use serde_json::Value;
use std::fmt::Write;

/// Tells the traces of a file.
pub fn explain(text: &str) -> String {
    let mut story = String::new();
    let mut world: Option<World> = None;
    for (number, line) in lines(text) {
        let Ok(operation) = line else {
            story.push_str("  (not a line of a trace)\n");
            continue;
        };
        match (string_in(&operation, "op"), &mut world) {
            ("begin", _) => {
                let _ = writeln!(story, "{}: {}", string_in(&operation, "name"), string_in(&operation, "why"));
                let _ = writeln!(story, "        {}", managers(&operation["managers"]));
                world = Some(World::begin(&operation).0);
            }
            ("end", _) => story.push('\n'),
            (_, Some(world)) => {
                let answer = world.line(&operation);
                let _ = writeln!(story, "  {:>4}  {}{}", number, call(&operation), outcome(&operation, &answer));
                consequences(&answer, &mut story);
            }
            (_, None) => story.push_str("  (a line outside a trace)\n"),
        }
    }
    story
}

fn managers(managers: &Value) -> String {
    let of_key = |manager: &Value| format!("{} for key {}", word(&manager["manager"]), word(&manager["key"]));
    match managers.as_array() {
        Some(managers) if managers.is_empty() => "There are no managers.".to_owned(),
        Some(managers) => format!("The managers: {}.", managers.iter().map(of_key).collect::<Vec<_>>().join(", ")),
        None => format!("The managers are those of the world \"{}\".", word(managers)),
    }
}

/// Returns the name of a voucher, or "no voucher".
fn voucher(value: &Value) -> String {
    match value.as_str() {
        None | Some("null") => "no voucher".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// Returns what is called.
fn call(operation: &Value) -> String {
    let field = |name: &str| word(&operation[name]);
    let of = voucher(&operation["voucher"]);
    match string_in(operation, "op") {
        "create" => format!("A voucher is created through \"{}\": {}.", field("via"), recipes(&operation["recipes"])),
        "create_raw" => format!("A voucher is created through \"{}\" from the bytes {}.", field("via"), field("raw")),
        "send_preprocess" => format!("A message with {of} is sent."),
        "receive_postprocess" if operation["rcv_voucher"] == true => format!("A message with {of} is received."),
        "receive_postprocess" => format!("A message with {of} is received by a task that wants no vouchers."),
        "default_voucher" => format!("A task of the kind \"{}\" gets its default voucher.", field("task")),
        "retain" => format!("{of} gets a reference."),
        "release" => format!("{of} loses a reference."),
        "to_port" => format!("A reference to {of} becomes a send right."),
        "from_port" => format!("A send right to {of} gives a reference."),
        "port_release" => format!("A send right to {of} is released."),
        "convert_port" => format!("The port {} is taken for a voucher.", field("port")),
        "register" => format!("The manager {} is registered for key {}.", field("manager"), field("key")),
        "control_retain" => format!("The control of key {} gets a reference.", field("control")),
        "control_release" => format!("The control of key {} loses a reference.", field("control")),
        "control_port_convert" => "A port is taken for a control.".to_owned(),
        "control_get_values" => format!("The owner of key {} reads its value in {of}.", field("control")),
        "host_register" => "A program wants to register a manager.".to_owned(),
        "extract_content" => format!("The content of key {} in {of} is read.", field("key")),
        "extract_recipe" => format!("The recipe for key {} in {of} is read.", field("key")),
        "extract_all" => format!("All recipes of {of} are read."),
        "debug_info" => format!("The debugger looks at {of}."),
        "attr_command" => format!("The manager of key {} gets command {} for {of}.", field("key"), field("command")),
        "pthpriority_from_message" => format!("The priority in {of} is read."),
        "activity_id" => format!("{} activity ids are made.", field("count")),
        "test_make" => format!("The manager of key {} counts {} once more.", field("key"), field("value")),
        "test_unmake" => format!("The manager of key {} counts {} once less.", field("key"), field("value")),
        "hook" => format!("When the manager of key {} is asked next, something comes in between.", field("key")),
        "dump" => "Everything is listed.".to_owned(),
        "bank_task" => format!("The bank gets to know the process {}.", field("pid")),
        "bank_switch" => format!("The process {} runs now.", field("pid")),
        "bank_exit" => format!("The bank forgets the process {}.", field("pid")),
        "bank_adopt" => format!("A thread adopts {of}, and works for {} units of time.", field("cpu")),
        "bank_preadopt" => format!("A thread is about to adopt {of}."),
        "bank_balance" => format!("The balance of the process {} is read.", field("pid")),
        other => format!("Unknown operation {other}."),
    }
}

fn recipes(recipes: &Value) -> String {
    let key = |recipe: &Value| match recipe["key"].as_u64() {
        Some(0xFFFF_FFFF) => "all keys".to_owned(),
        _ => format!("key {}", word(&recipe["key"])),
    };
    let one = |recipe: &Value| {
        let previous = match recipe["prev"].as_str() {
            None | Some("null") => String::new(),
            Some(name) => format!(" from {name}"),
        };
        match recipe["command"].as_u64().unwrap_or_default() {
            1 => format!("copy {}{previous}", key(recipe)),
            2 => format!("remove {}{previous}", key(recipe)),
            3 => format!("store a handle in {}", key(recipe)),
            10 => format!("redeem {}{previous}", key(recipe)),
            command => format!("command {command} for {}{previous}", key(recipe)),
        }
    };
    let items: Vec<String> = recipes.as_array().into_iter().flatten().map(one).collect();
    if items.is_empty() { "without recipes".to_owned() } else { items.join("; ") }
}

/// Returns how a call ended.
fn outcome(operation: &Value, answer: &Value) -> String {
    let mut text = String::new();
    if let Some(code) = answer["kr"].as_i64().filter(|&code| code != 0) {
        let _ = write!(text, " It fails with the code {code}.");
    } else if let Some(name) = answer["voucher"].as_str().filter(|_| operation["op"] != "convert_port") {
        let attributes: Vec<String> = answer["attrs"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, handle)| format!("key {key} is {}", word(handle)))
            .collect();
        let _ = match (name, attributes.is_empty()) {
            ("null", _) => write!(text, " The result is no voucher."),
            (name, true) => write!(text, " The result is {name}."),
            (name, false) => write!(text, " The result is {name}, where {}.", attributes.join(", ")),
        };
    }
    if let Some(refs) = answer["refs"].as_i64() {
        let _ = write!(text, " References: {refs}.");
    }
    text
}

/// Adds what the managers were asked and which vouchers died.
fn consequences(answer: &Value, story: &mut String) {
    for asked in answer["calls"].as_array().into_iter().flatten() {
        let manager = format!("The manager {} of key {}", word(&asked["manager"]), word(&asked["key"]));
        let result = match asked["ret"].as_i64() {
            None | Some(0) => String::new(),
            Some(code) => format!(", and refuses with {code}"),
        };
        let what = match string_in(asked, "fn") {
            "get_value" if asked["value"].is_null() => "is asked for a value".to_owned(),
            "get_value" => format!("is asked for a value, and names {}", word(&asked["value"])),
            "release_value" => format!("is asked to release {} ({} made)", word(&asked["value"]), word(&asked["sync"])),
            "extract_content" => "is asked for the content".to_owned(),
            "command" => "gets a command".to_owned(),
            _ => "is told that its key is free".to_owned(),
        };
        let _ = writeln!(story, "          {manager} {what}{result}.");
    }
    for died in answer["died"].as_array().into_iter().flatten() {
        let _ = writeln!(story, "          {} dies.", word(died));
    }
}
