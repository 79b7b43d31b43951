//! Prompts, and completions of their arguments.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, ElicitResult, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, Prompt, PromptArgument, PromptMessage, Reference, ResourceContents, Role,
    },
    service::RequestContext,
};

use crate::{
    Fixture,
    inputs::{self, answer, entered, question},
    resources,
    tools::PICTURE,
};

pub(crate) fn all(extra: bool) -> Vec<Prompt> {
    let required = |name: &str| PromptArgument::new(name).with_description("Put into the prompt").with_required(true);
    let prompt = |name, description, arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(|name| required(name)).collect();
        Prompt::new(name, Some(description), (!arguments.is_empty()).then_some(arguments))
    };
    let mut all = vec![
        prompt("test_simple_prompt", "One sentence", &[]),
        prompt("test_prompt_with_arguments", "A sentence with two arguments in it", &["arg1", "arg2"]),
        prompt("test_prompt_with_embedded_resource", "A resource, and what to do with it", &["resourceUri"]),
        prompt("test_prompt_with_image", "A picture, and what to do with it", &[]),
        prompt("test_input_required_result_prompt", "Asks the user before it says anything", &[]),
    ];
    if extra {
        all.push(prompt("test_extra_prompt", "Comes and goes with test_trigger_prompt_change", &[]));
    }
    all
}

pub(crate) fn get(
    fixture: &Fixture,
    params: &GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResponse, ErrorData> {
    let says = |text: &str| PromptMessage::new_text(Role::User, text);
    let shows = |content| PromptMessage::new(Role::User, content);
    let messages = match &*params.name {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, two) = (argument(params, "arg1")?, argument(params, "arg2")?);
            vec![says(&format!("Prompt with arguments: arg1='{one}', arg2='{two}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = argument(params, "resourceUri")?;
            let resource = ResourceContents::text("Embedded resource content for testing.", uri);
            vec![shows(ContentBlock::resource(resource)), says("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => {
            vec![shows(ContentBlock::image(PICTURE, "image/png")), says("Please analyze the image above.")]
        }
        "test_input_required_result_prompt" => {
            let Some(said) = answer::<ElicitResult>(params.input_responses.as_ref(), "user_context") else {
                let asks = question("What context should the prompt use?", "context");
                return Ok(inputs::required(context, [("user_context", asks)], None)?.into());
            };
            vec![says(&format!("The context is: {}", entered(&said, "context")))]
        }
        "test_extra_prompt" if fixture.0.changes.has_extra_prompt() => vec![says("It is there.")],
        other => return Err(ErrorData::invalid_params(format!("there is no prompt `{other}`"), None)),
    };
    Ok(GetPromptResult::new(messages).into())
}

fn argument<'a>(params: &'a GetPromptRequestParams, name: &str) -> Result<&'a str, ErrorData> {
    let given = params.arguments.as_ref().and_then(|given| given.get(name)?.as_str());
    given.ok_or_else(|| ErrorData::invalid_params(format!("`{}` needs the argument `{name}`", params.name), None))
}

/// Completes an argument: returns the known values that begin with its text.
pub(crate) fn complete(params: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let known: &[&str] = match &params.r#ref {
        Reference::Prompt(prompt) if all(true).iter().any(|it| it.name == prompt.name) => {
            &["paris", "park", "party", "test"]
        }
        Reference::Resource(it) if resources::templates()[0].uri_template == it.uri => &["1", "12", "123"],
        _ => return Err(ErrorData::invalid_params("there is nothing of this name to complete", None)),
    };
    let begin = |value: &&&str| value.starts_with(&params.argument.value);
    let values = known.iter().filter(begin).map(|value| (*value).to_owned()).collect();
    let completion = CompletionInfo::with_all_values(values).map_err(|error| ErrorData::internal_error(error, None))?;
    Ok(CompleteResult::new(completion))
}
