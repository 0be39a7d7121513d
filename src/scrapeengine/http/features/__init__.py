"""What goes with requests and is kept between them: cookies, robots.txt, validators."""
