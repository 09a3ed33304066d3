//! A timeline as one HTML page, which needs no network.

use super::model::Timeline;

/// The page, with places for what follows.
const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Returns the page of a timeline.
pub fn render(timeline: &Timeline, title: &str) -> String {
    let data = serde_json::to_string(timeline).expect("a timeline has strings and numbers only");
    // A name of a program could end the script otherwise.
    let data = data.replace('<', "\\u003c");
    let title: String = title.chars().filter(|c| c.is_alphanumeric() || " .,-_/():".contains(*c)).collect();
    let page = TEMPLATE.replace("<!--TITLE-->", &title).replacen("/*STYLE*/", STYLE, 1);
    // The data comes last, because a name in it could look like one of the places.
    page.replacen("/*SCRIPT*/", SCRIPT, 1).replacen("/*DATA*/null", &data, 1)
}
