//! A progress report as Markdown. Pure.

use protocol::{
    agent::ProgressItem,
    error::{ErrorCode, RpcError},
    limits::{PROGRESS_ITEMS_MAX, PROGRESS_TEXT_MAX_BYTES},
};

/// Characters that mean something to Markdown, to forges (`@name`, `#1`, `!1`, `:smile:`) or HTML.
const SPECIAL: &str = r"\`*_{}[]<>()#!|@~:&$^+";

/// A task list, one line per item.
///
/// # Errors
/// [`ErrorCode::Invalid`] for no item, too many, or one that is empty or too long.
pub fn render(items: &[ProgressItem]) -> Result<String, RpcError> {
    let invalid = |message: String| Err(RpcError::new(ErrorCode::Invalid, message));
    if items.is_empty() || items.len() > PROGRESS_ITEMS_MAX {
        return invalid(format!("a progress report has 1 to {PROGRESS_ITEMS_MAX} items"));
    }
    let mut lines = Vec::with_capacity(items.len());
    for (place, item) in (1..).zip(items) {
        if item.text.trim().is_empty() || item.text.len() > PROGRESS_TEXT_MAX_BYTES {
            return invalid(format!("item {place} must have 1 to {PROGRESS_TEXT_MAX_BYTES} bytes"));
        }
        let mark = if item.done { 'x' } else { ' ' };
        lines.push(format!("- [{mark}] {}", one_line(&item.text)));
    }
    Ok(lines.join("\n"))
}

/// Plain text on one line, whatever it holds.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 8);
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if SPECIAL.contains(c) {
                line.push('\\');
            }
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str, done: bool) -> ProgressItem {
        ProgressItem { text: text.to_owned(), done }
    }

    #[test]
    fn items_become_a_task_list() {
        let items = [item("read the issue", true), item("write  the\n- [x] fix\0", false)];
        assert_eq!(render(&items).unwrap(), "- [x] read the issue\n- [ ] write the - \\[x\\] fix");
    }

    // CASES 50, 53
    #[test]
    fn nothing_in_an_item_is_markup() {
        let shown = render(&[item("@all see #1 <b> ![x](y) `z`", true)]).unwrap();
        assert_eq!(shown, r"- [x] \@all see \#1 \<b\> \!\[x\]\(y\) \`z\`");
    }

    #[test]
    fn a_report_is_bounded() {
        assert!(render(&[]).is_err());
        assert!(render(&vec![item("x", true); 51]).is_err());
        assert!(render(&[item(" \n", true)]).is_err());
        assert!(render(&[item(&"x".repeat(501), true)]).is_err());
    }
}
