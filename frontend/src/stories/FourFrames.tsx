// The parts in both languages and both themes, side by side.
import { Fragment } from "react";

const LANGUAGES = ["zh", "en"];
const THEMES = ["light", "dark"];

export function FourFrames() {
  return (
    <div className="stories-four">
      {THEMES.map((theme) => (
        <Fragment key={theme}>
          {LANGUAGES.map((language) => (
            <iframe key={language} title={`${language}, ${theme}`} src={`?language=${language}&theme=${theme}`} />
          ))}
        </Fragment>
      ))}
    </div>
  );
}
