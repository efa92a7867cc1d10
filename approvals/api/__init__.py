"""The agents' door: parse, call one gate and one verb, render. No row is fetched and none is written here."""
