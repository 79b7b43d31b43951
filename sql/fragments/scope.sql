SELECT s.id, s.words FROM sources s WHERE {filter}
