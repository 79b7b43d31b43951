-- Who wrote the text of a forgotten record, where that is not the owner: a restored record keeps its writer.
ALTER TABLE forgotten_sources ADD COLUMN written_by text;
