//! What a request's body is: the file itself, or a form that holds it (`curl -F file=@a.dcm`).
//!
//! A form is read after RFC 7578 and RFC 2046, section 5.1: parts between lines `--BOUNDARY`, each with headers, an empty
//! line, and its content. Whatever else stands in it, exactly one file is expected.

use axum::http::{HeaderMap, StatusCode, header};

use super::problem::Problem;

/// Bytes that a form may have around its file.
pub const FORM_OVERHEAD: usize = 64 * 1024;
/// Characters of a file's name that are kept.
const LONGEST_NAME: usize = 255;
/// Parts of a form that are looked at.
const MOST_PARTS: usize = 32;

/// How the file stands in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// The body is the file.
    Plain,
    /// The file is a part between lines of this boundary.
    Multipart(Vec<u8>),
}

/// A file that was found in a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'b> {
    /// The name that the form gives it.
    pub name: Option<String>,
    /// What is in it.
    pub content: &'b [u8],
}

impl Form {
    /// What the request says that its body is.
    ///
    /// Most programs say nothing, or something wrong (curl's `--data-binary` says
    /// `application/x-www-form-urlencoded`): what a plain file is shows its content. Two types never are an image.
    ///
    /// # Errors
    /// 415 for JSON and for a form without a boundary.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence == "application/json" {
            return Err(unsupported("found JSON"));
        }
        if !essence.starts_with("multipart/") {
            return Ok(Self::Plain);
        }
        if essence != "multipart/form-data" {
            return Err(unsupported(&format!("found {}", essence.chars().take(40).collect::<String>())));
        }
        let boundary = kind.split(';').skip(1).find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
        });
        match boundary {
            Some(boundary) if (1..=70).contains(&boundary.len()) => Ok(Self::Multipart(boundary.as_bytes().to_vec())),
            _ => Err(unsupported("found a form without the boundary between its parts")),
        }
    }
}

fn unsupported(found: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "file: an image or DICOM file as the body, or a form (multipart/form-data) with one file expected, {found}\n\
             hint: curl --data-binary @FILE …/api/studies, or curl -F file=@FILE …/api/studies"
        ),
    )
}

/// A file's name as it may be shown: without control characters, of bounded length; `None` where nothing is left.
pub fn shown_name(name: &str) -> Option<String> {
    let shown: String = name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// The one file of a form.
///
/// # Errors
/// 400: the form is cut off or malformed, or has no file or several.
pub fn file_of<'b>(body: &'b [u8], boundary: &[u8]) -> Result<Part<'b>, Problem> {
    let malformed = |found: &str| {
        Problem::bad_request(format!(
            "file: a form (multipart/form-data) with one file expected, {found}\n\
             hint: curl -F file=@FILE …/api/studies, or the file itself as the body: curl --data-binary @FILE …/api/studies"
        ))
    };
    let delimiter = [b"\r\n--", boundary].concat();
    // The first boundary stands at the start of the body, or at that of a line.
    let mut rest = match body.strip_prefix(delimiter.get(2..).unwrap_or_default()) {
        Some(rest) => rest,
        None => cut(body, &delimiter).ok_or_else(|| malformed("found none of the boundaries that it announces"))?.1,
    };
    let (mut files, mut fields) = (Vec::new(), Vec::new());
    for _ in 0..MOST_PARTS {
        if rest.starts_with(b"--") {
            break;
        }
        let (_, after_line) = cut(rest, b"\r\n").ok_or_else(|| malformed("found one that is cut off"))?;
        let (headers, content) = match after_line.strip_prefix(b"\r\n") {
            Some(content) => (&[][..], content),
            None => cut(after_line, b"\r\n\r\n").ok_or_else(|| malformed("found one that is cut off"))?,
        };
        let (content, next) = cut(content, &delimiter).ok_or_else(|| malformed("found one that is cut off"))?;
        match file_name(headers) {
            Some(name) => files.push(Part { name: Some(name).filter(|name| !name.is_empty()), content }),
            None => fields.push(Part { name: None, content }),
        }
        rest = next;
    }
    // `curl -F "file=<a.dcm"` sends a file as a field.
    let found = if files.is_empty() { &mut fields } else { &mut files };
    match (found.pop(), found.len()) {
        (Some(part), 0) => Ok(part),
        (Some(_), others) => Err(malformed(&format!("found {} of them", others + 1))),
        (None, _) => Err(malformed("found no part in it")),
    }
}

/// The name that a part's headers give its file; `None` where it is a field.
fn file_name(headers: &[u8]) -> Option<String> {
    let headers = String::from_utf8_lossy(headers);
    let disposition = headers.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (_, after) = disposition.split_once("filename=")?;
    let name = match after.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => after.split(';').next().unwrap_or_default().trim(),
    };
    Some(name.replace("%22", "\""))
}

/// What stands before and behind the first place of `pattern`.
fn cut<'b>(bytes: &'b [u8], pattern: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let first = pattern.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| byte == first)?;
        let (before, rest) = bytes.split_at_checked(at)?;
        if let Some(after) = rest.strip_prefix(pattern) {
            return Some((before, after));
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.dcm\"\r\nContent-Type: \
                        application/octet-stream\r\n\r\nfirst\r\n--x\r\nlast\r\n--xx--\r\n";

    fn status(headers: &[(&'static str, &'static str)]) -> Result<Form, u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)));
        Form::of(&headers.collect()).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_type_says_whether_the_body_is_a_form() {
        for plain in ["application/octet-stream", "application/x-www-form-urlencoded", "image/png", "", "nonsense"] {
            assert_eq!(status(&[("content-type", plain)]), Ok(Form::Plain), "{plain}");
        }
        assert_eq!(status(&[]), Ok(Form::Plain));
        let form = Ok(Form::Multipart(b"xx".to_vec()));
        assert_eq!(status(&[("content-type", "multipart/form-data; boundary=xx")]), form);
        assert_eq!(status(&[("content-type", "Multipart/Form-Data; charset=utf-8; Boundary=\"xx\"")]), form);
        for other in [
            "application/json; charset=utf-8",
            "multipart/form-data",
            "multipart/mixed; boundary=xx",
            "multipart/form-data; boundary=",
        ] {
            assert_eq!(status(&[("content-type", other)]), Err(415), "{other}");
        }
    }

    #[test]
    fn the_file_of_a_form_is_found_whatever_stands_around_it() {
        let found = file_of(FORM.as_bytes(), b"xx").unwrap();
        assert_eq!((found.name.as_deref(), found.content), (Some("a b.dcm"), &b"first\r\n--x\r\nlast"[..]));
        let with_field = format!("preamble\r\n--xx\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n{FORM}");
        assert_eq!(file_of(with_field.as_bytes(), b"xx").unwrap(), found);
        let field = "--xx\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbytes\r\n--xx--";
        assert_eq!(file_of(field.as_bytes(), b"xx").unwrap(), Part { name: None, content: b"bytes" });
    }

    #[test]
    fn a_form_without_exactly_one_file_is_refused_at_any_cut() {
        let part = FORM.trim_end_matches("--\r\n");
        let two = format!("{part}{}", &FORM[4..]);
        let message = |body: &str| file_of(body.as_bytes(), b"xx").unwrap_err().error;
        assert!(message(&two).contains("found 2 of them"), "{}", message(&two));
        assert!(message("--xx--").contains("no part"), "{}", message("--xx--"));
        assert!(message("a file").contains("none of the boundaries"), "{}", message("a file"));
        let end = FORM.find("\r\n--xx--").unwrap() + 6;
        for length in 0..end {
            assert!(file_of(&FORM.as_bytes()[..length], b"xx").is_err(), "cut after {length} bytes");
        }
    }
}
